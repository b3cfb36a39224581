// SPDX-License-Identifier: MIT
#include <ydistill/train/report/stroke_font.h>

#include <algorithm>
#include <cstdint>

namespace ydistill {
namespace {

// A glyph is its width and its strokes, separated by `|`. A point is two characters, x and y, of
// 0-9 A-G (0 to 16); capitals reach from y = 0 to C, small letters from 4 to C, descenders to G. A
// stroke that begins with `~` is a control polygon whose corners are rounded.
constexpr double kCapital = 12;
constexpr double kGap = 3.2;  // between letters

struct Glyph {
  char letter;
  int width;
  const char* strokes;
};

constexpr Glyph kGlyphs[] = {
    {' ', 2, ""},
    {'!', 0, "0008|0B0C"},
    {'"', 2, "0003|2023"},
    {'#', 8, "202C|606C|0484|0888"},
    {'$', 7, "~72700006767C0C0A|404C"},
    {'%', 9, "900C|~103034040010|~78989C6C6878"},
    {'&', 8, "~8C2302004053460A0C4C7C87"},
    {'\'', 0, "0003"},
    {'(', 3, "~30040A3E"},
    {')', 3, "~00343A0E"},
    {'*', 6, "3238|0466|0664"},
    {'+', 6, "353B|0868"},
    {',', 1, "1B0E"},
    {'-', 4, "0747"},
    {'.', 0, "0B0C"},
    {'/', 5, "500C"},
    {'0', 6, "~30606C0C0030"},
    {'1', 6, "13404C"},
    {'2', 6, "~030060660C|0C6C"},
    {'3', 6, "~0200606626|~26666C0C0A"},
    {'4', 6, "5C500868"},
    {'5', 6, "600005|~05656C0C0A"},
    {'6', 6, "~6260000C3C|~3C6C650508"},
    {'7', 6, "00602C"},
    {'8', 6, "~306066060030|~36666C0C0636"},
    {'9', 6, "~0A0C6C6030|~3000076764"},
    {':', 0, "0506|0B0C"},
    {';', 1, "1516|1B0E"},
    {'<', 6, "64086C"},
    {'=', 6, "0666|0A6A"},
    {'>', 6, "04680C"},
    {'?', 6, "~030060663638|3B3C"},
    {'@', 9, "~6864348A6A68|~6A9A90000C8C"},
    {'A', 8, "0C408C|1979"},
    {'B', 8, "000C|~004070764606|~0646868C4C0C"},
    {'C', 8, "~8380000C8C89"},
    {'D', 8, "000C|~0040808C4C0C"},
    {'E', 7, "70000C7C|0666"},
    {'F', 7, "70000C|0666"},
    {'G', 8, "~8380000C8C87|8757"},
    {'H', 8, "000C|808C|0686"},
    {'I', 0, "000C"},
    {'J', 6, "~606C0C09"},
    {'K', 7, "000C|7007|347C"},
    {'L', 6, "000C6C"},
    {'M', 10, "0C005AA0AC"},
    {'N', 8, "0C008C80"},
    {'O', 8, "~40808C0C0040"},
    {'P', 7, "0C00|~004070774707"},
    {'Q', 8, "~40808C0C0040|598C"},
    {'R', 7, "0C00|~004070774707|477C"},
    {'S', 7, "~72700006767C0C0A"},
    {'T', 8, "0080|404C"},
    {'U', 8, "~000C8C80"},
    {'V', 8, "004C80"},
    {'W', 12, "003C619CC0"},
    {'X', 8, "008C|800C"},
    {'Y', 8, "004680|464C"},
    {'Z', 8, "00800C8C"},
    {'[', 3, "30000E3E"},
    {'\\', 5, "005C"},
    {']', 3, "00303E0E"},
    {'^', 6, "033063"},
    {'_', 6, "0E6E"},
    {'`', 2, "0022"},
    {'a', 6, "646C|~6664040C6C6A"},
    {'b', 6, "000C|~0604646C0C0A"},
    {'c', 6, "~6664040C6C6A"},
    {'d', 6, "606C|~6664040C6C6A"},
    {'e', 6, "0868|~6864040C6C6A"},
    {'f', 4, "~402023|232C|0444"},
    {'g', 6, "~646G0G0E|~6664040C6C6A"},
    {'h', 6, "000C|~07046468|686C"},
    {'i', 0, "040C|0001"},
    {'j', 2, "~242G0G|2021"},
    {'k', 6, "000C|6409|276C"},
    {'l', 2, "000A|~0A0C2C"},
    {'m', 10, "040C|~07045458|585C|~5754A4A8|A8AC"},
    {'n', 6, "040C|~07046468|686C"},
    {'o', 6, "~34646C0C0434"},
    {'p', 6, "040G|~0604646C0C0A"},
    {'q', 6, "646G|~6664040C6C6A"},
    {'r', 4, "040C|~070444"},
    {'s', 5, "~55540408585C0C0B"},
    {'t', 4, "202A|~2A2C4C|0444"},
    {'u', 6, "0408|~080C6C69|646C"},
    {'v', 6, "043C64"},
    {'w', 8, "042C456C84"},
    {'x', 6, "046C|640C"},
    {'y', 6, "043B|641G"},
    {'z', 6, "04640C6C"},
    {'{', 3, "~30242606282A3E"},
    {'|', 0, "000E"},
    {'}', 3, "~00141636181A0E"},
    {'~', 6, "~0A06366A6A66"},
};

double number_of(char sign) {
  return sign <= '9' ? double(sign - '0') : double(sign - 'A') + 10;
}

/// Chaikin's corner cutting; the end points stay.
Stroke rounded(Stroke stroke) {
  constexpr int kTimes = 3;
  for (int i = 0; i < kTimes && stroke.size() > 2; ++i) {
    Stroke cut{stroke.front()};
    for (size_t k = 0; k + 1 < stroke.size(); ++k) {
      const Point a = stroke[k], b = stroke[k + 1];
      if (k > 0) cut.push_back({0.75 * a.x + 0.25 * b.x, 0.75 * a.y + 0.25 * b.y});
      if (k + 2 < stroke.size()) cut.push_back({0.25 * a.x + 0.75 * b.x, 0.25 * a.y + 0.75 * b.y});
    }
    cut.push_back(stroke.back());
    stroke = std::move(cut);
  }
  return stroke;
}

const Glyph& glyph_of(char letter) {
  const auto found = std::find_if(std::begin(kGlyphs), std::end(kGlyphs),
                                  [letter](const Glyph& g) { return g.letter == letter; });
  return found != std::end(kGlyphs) ? *found : glyph_of('?');
}

void append_strokes(const Glyph& glyph, double left, std::vector<Stroke>& strokes) {
  Stroke stroke;
  bool round = false;
  const auto finish = [&] {
    if (!stroke.empty()) strokes.push_back(round ? rounded(std::move(stroke)) : std::move(stroke));
    stroke = {};
    round = false;
  };
  for (const char* p = glyph.strokes; *p != '\0';) {
    if (*p == '|') {
      finish();
      ++p;
    } else if (*p == '~') {
      round = true;
      ++p;
    } else {
      stroke.push_back({(left + number_of(p[0])) / kCapital, number_of(p[1]) / kCapital});
      p += 2;
    }
  }
  finish();
}

}  // namespace

LaidOutText lay_out(std::string_view text) {
  LaidOutText result;
  double x = 0;
  for (const char c : text) {
    if ((uint8_t(c) & 0xC0) == 0x80) continue;  // a later byte of a UTF-8 character
    const Glyph& glyph = glyph_of(c);
    append_strokes(glyph, x, result.strokes);
    x += glyph.width + kGap;
  }
  result.width = std::max(0.0, x - kGap) / kCapital;
  return result;
}

}  // namespace ydistill
