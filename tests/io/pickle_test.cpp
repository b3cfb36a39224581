// SPDX-License-Identifier: MIT
// Byte strings below were written by hand after the description of each instruction in CPython's
// Lib/pickletools.py, or by CPython's pickle.dumps where said so.
#include <ydistill/tensor/io/pickle.h>

#include <string>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/random.h>

#include "io/pickle_writer.h"
#include "support/catch.h"

using namespace ydistill;
namespace pkl = ydistill::test::pkl;
using namespace std::string_literals;

namespace {

PickleDocument parse(const std::string& bytes, const PickleLimits& limits = {}) {
  return parse_pickle(std::as_bytes(std::span(bytes)), "test.pt", limits);
}

const PickleNode& only_node(const PickleDocument& document) {
  return document[document.root()];
}

}  // namespace

TEST_CASE("pickle: integers of every instruction") {
  const auto value = [](const std::string& bytes) {
    const PickleDocument document = parse(bytes);
    REQUIRE(document.integer(document.root()));
    return *document.integer(document.root());
  };
  CHECK(value("J\xff\xff\xff\xff.") == -1);
  CHECK(value("K\xff.") == 255);
  CHECK(value("M\xff\xff.") == 65535);
  CHECK(value("I-12\n.") == -12);
  CHECK(value("I01\n.") == 1);
  CHECK(value("L123456789012L\n.") == 123456789012);
  CHECK(value("\x8a\x00."s) == 0);
  CHECK(value("\x8a\x02\x00\x80."s) == -32768);
  CHECK(value("\x8b\x03\x00\x00\x00\xff\xff\x00."s) == 65535);
  CHECK(value("\x88.") == 1);
  CHECK(value("\x89.") == 0);
}

TEST_CASE("pickle: integers beyond 64 bits are near their value") {
  // 0x1950a86a20f9469cfc6c, the magic number of old PyTorch files
  const PickleDocument document = parse(
      "\x8a\x0al\xfc\x9c"
      "F\xf9 j\xa8P\x19.");
  CHECK(only_node(document).kind == PickleKind::kBigInt);
  CHECK(*document.number(document.root()) == Approx(119547037146038801333356.0));
  CHECK_FALSE(document.integer(document.root()));
  const PickleDocument negative = parse("L-18446744073709551616L\n.");
  CHECK(*negative.number(negative.root()) == -18446744073709551616.0);
}

TEST_CASE("pickle: floats and text of every instruction") {
  CHECK(only_node(parse("G\x3f\xf8\x00\x00\x00\x00\x00\x00."s)).number == 1.5);
  CHECK(only_node(parse("F-2.5e3\n.")).number == -2500);
  const auto text = [](const std::string& bytes) { return only_node(parse(bytes)).text; };
  CHECK(text("X\x03\x00\x00\x00"
             "abc."s) == "abc");
  CHECK(text("\x8c\x02hi.") == "hi");
  CHECK(text("\x8d\x02\x00\x00\x00\x00\x00\x00\x00hi."s) == "hi");
  CHECK(text("Vcaf\\u00e9\\U0001f408\n.") == "café\xf0\x9f\x90\x88");
  CHECK(text("S'it\\'s\\n\\x41'\n.") == "it's\nA");
  CHECK(text("U\x02hi.") == "hi");
  CHECK(text("T\x01\x00\x00\x00\xe9."s) == "é");
  CHECK(text("C\x02\xff\x00."s) == "\xff\x00"s);
  CHECK(text("B\x01\x00\x00\x00\xff."s) == "\xff");
  CHECK(text("\x8e\x01\x00\x00\x00\x00\x00\x00\x00z."s) == "z");
}

TEST_CASE("pickle: protocol 0 as Python 2 writes it") {
  // pickle.dumps({'a': [1, 2.5, None], 'b': (True,)}, 0)
  const PickleDocument d = parse("(dp0\nS'a'\np1\n(lp2\nI1\naF2.5\naNasS'b'\np3\n(I01\ntp4\ns.");
  const auto a = d.sequence(d.get(d.root(), "a"));
  REQUIRE(a.size() == 3);
  CHECK(d.integer(a[0]) == 1);
  CHECK(d.number(a[1]) == 2.5);
  CHECK(d.is_none(a[2]));
  CHECK(d.sequence(d.get(d.root(), "b")).size() == 1);
}

TEST_CASE("pickle: protocol 4 with frames and memo as Python 3 writes it") {
  // pickle.dumps({'s': {1}, 'f': frozenset([2]), 't': ('x', 'x')}, 4)
  const PickleDocument d = parse(
      "\x80\x04\x95$\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01s\x94\x8f\x94(K\x01\x90\x8c\x01"
      "f\x94(K\x02\x91\x94\x8c\x01t\x94\x8c\x01x\x94h\x06\x86\x94u."s);
  CHECK(d.integer(d.sequence(d.get(d.root(), "s"))[0]) == 1);
  CHECK(d.integer(d.sequence(d.get(d.root(), "f"))[0]) == 2);
  CHECK(d.text(d.sequence(d.get(d.root(), "t"))[1]) == "x");
}

TEST_CASE("pickle: calls of every instruction stay inert") {
  const auto called = [](const std::string& bytes) {
    const PickleDocument document = parse(bytes);
    return std::string(document.called(document.root()));
  };
  CHECK(called("cos\nsystem\n(S'rm -rf /'\ntR.") == "os.system");
  CHECK(called("\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02ls\x85R.") == "posix.system");
  CHECK(called("(S'ls'\nios\nsystem\n.") == "os.system");
  CHECK(called("(cos\nsystem\nS'ls'\no.") == "os.system");
  CHECK(called("cm\nC\n)\x81.") == "m.C");
  CHECK(called("cm\nC\n)}\x92.") == "m.C");
  const PickleDocument d = parse("cos\nsystem\n(S'ls'\ntR.");
  CHECK(d.describe(d.root()) == "a call of 'os.system'");
  CHECK(d.text(d.arg(d.root(), 0)) == "ls");
}

TEST_CASE("pickle: state and entries and items stay with the call") {
  const PickleDocument d = parse(
      "cm\nC\n)\x81}(X\x01\x00\x00\x00"
      "aK\x01ubX\x01\x00\x00\x00"
      "kK\x02sK\x03"
      "a."s);
  const PickleNode& node = only_node(d);
  CHECK(d.integer(d.get(node.state, "a")) == 1);
  CHECK(node.entries.size() == 2);
  CHECK(node.items.size() == 1);
}

TEST_CASE("pickle: ordered dictionaries in both spellings") {
  const PickleDocument old = parse(pkl::program(
      pkl::call("collections", "OrderedDict",
                pkl::tuple({pkl::list({pkl::list({pkl::text("a"), pkl::integer(1)}),
                                       pkl::list({pkl::text("b"), pkl::integer(2)})})}))));
  CHECK(old.integer(old.get(old.root(), "b")) == 2);
  const PickleDocument now = parse(pkl::program(pkl::ordered_dict({{"b", pkl::integer(3)}})));
  CHECK(now.integer(now.get(now.root(), "b")) == 3);
  CHECK(now.dict_entries(now.root()).size() == 1);
  CHECK(now.get(now.root(), "missing") == kNoPickle);
}

TEST_CASE("pickle: the last value of a key counts") {
  const PickleDocument d =
      parse(pkl::program(pkl::dict({{"a", pkl::integer(1)}, {"a", pkl::integer(2)}})));
  CHECK(d.integer(d.get(d.root(), "a")) == 2);
}

TEST_CASE("pickle: numpy scalars are numbers") {
  const auto scalar = [](const std::string& code, const std::string& data) {
    const std::string dtype =
        pkl::call("numpy", "dtype",
                  pkl::tuple({pkl::text(code), pkl::boolean(false), pkl::boolean(true)})) +
        pkl::tuple({pkl::integer(3), pkl::text("<")}) + "b";
    return parse(
        pkl::program(pkl::call("numpy.core.multiarray", "scalar", pkl::tuple({dtype, data}))));
  };
  // numpy.float64(0.125), its bytes as protocol 2 writes them
  const PickleDocument f8 = scalar(
      "f8", pkl::call("_codecs", "encode",
                      pkl::tuple({pkl::text("\0\0\0\0\0\0\xc3\x80?"s), pkl::text("latin1")})));
  CHECK(f8.number(f8.root()) == 0.125);
  CHECK_FALSE(f8.integer(f8.root()));
  const PickleDocument i4 = scalar("i4", "C\x04\xfe\xff\xff\xff");
  CHECK(i4.integer(i4.root()) == -2);
  const PickleDocument wrong = scalar("f8", "C\x02zz");
  CHECK_FALSE(wrong.number(wrong.root()));
}

TEST_CASE("pickle: a list that contains itself is one node") {
  // l = []; l.append(l)
  const PickleDocument d = parse(
      "\x80\x02]q\x00h\x00"
      "a."s);
  REQUIRE(d.sequence(d.root()).size() == 1);
  CHECK(d.sequence(d.root())[0] == d.root());
  CHECK(d.size() < 10);
}

TEST_CASE("pickle: what is malformed is refused with its byte") {
  CHECK_THROWS_WITH_TEXT(parse(""), FileError, "test.pt: pickle, byte 0: is cut short");
  CHECK_THROWS_WITH_TEXT(parse("\x80\x02}"), FileError, "pickle, byte 3: is cut short");
  CHECK_THROWS_WITH_TEXT(parse("."), FileError, "finds the stack empty");
  CHECK_THROWS_WITH_TEXT(parse("(."), FileError, "finds the stack empty");
  CHECK_THROWS_WITH_TEXT(parse("t."), FileError, "finds no mark");
  CHECK_THROWS_WITH_TEXT(parse("\x80\x09."), FileError, "protocol 9 is unknown");
  CHECK_THROWS_WITH_TEXT(parse("\xfa."), FileError, "0xfa is no pickle instruction");
  CHECK_THROWS_WITH_TEXT(parse("h\x05."), FileError, "memo number 5 was never set");
  CHECK_THROWS_WITH_TEXT(parse("X\xff\xff\x00\x00"
                               "abc."s),
                         FileError, "is cut short: 65535 bytes wanted, 4 are left");
  CHECK_THROWS_WITH_TEXT(parse("X\x01\x00\x00\x00\xff."s), FileError, "a text is not UTF-8");
  CHECK_THROWS_WITH_TEXT(parse("NK\x01"
                               "a."),
                         FileError, "items are added to None");
  CHECK_THROWS_WITH_TEXT(parse("]}b."), FileError, "a state is given to a list of 0");
  CHECK_THROWS_WITH_TEXT(parse("}(K\x01u."), FileError, "a key has no value");
  CHECK_THROWS_WITH_TEXT(parse("]NNs."), FileError, "entries are put into a list of 0");
  CHECK_THROWS_WITH_TEXT(parse("K\x01K\x02\x93."), FileError, "a global is named by the number");
  CHECK_THROWS_WITH_TEXT(parse("Iabc\n."), FileError, "an integer is none");
  CHECK_THROWS_WITH_TEXT(parse("\x82\x01."), FileError, "extension codes have no meaning");
  CHECK_THROWS_WITH_TEXT(parse("\x97."), FileError, "out-of-band buffers have no meaning");
  CHECK_THROWS_WITH_TEXT(parse("\x95\xff\x00\x00\x00\x00\x00\x00\x00N."s), FileError,
                         "a frame goes beyond the end");
}

TEST_CASE("pickle: every bound is kept") {
  const auto repeat = [](const std::string& part, int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += part;
    return out;
  };
  CHECK_THROWS_WITH_TEXT(parse(repeat("N", 2000), {.max_bytes = 1000}), FileError,
                         "has 2000 bytes, 1000 are allowed");
  CHECK_THROWS_WITH_TEXT(parse(repeat("]", 200), {.max_nodes = 100}), FileError,
                         "has more than 100 objects");
  CHECK_THROWS_WITH_TEXT(parse("](" + repeat("N", 200) + "e.", {.max_items = 100}), FileError,
                         "has more than 100 items");
  CHECK_THROWS_WITH_TEXT(parse(repeat("N", 200), {.max_stack = 100}), FileError,
                         "piles up more than 100 objects");
  CHECK_THROWS_WITH_TEXT(parse("N" + repeat("\x85", 200) + ".", {.max_depth = 100}), FileError,
                         "is nested more than 100 deep");
  CHECK_THROWS_WITH_TEXT(parse(repeat("(", 200), {.max_depth = 100}), FileError,
                         "has more than 100 open marks");
  CHECK_THROWS_WITH_TEXT(parse("Nr\xff\xff\xff\x7f."), FileError, "memo number 2147483647");
  CHECK_THROWS_WITH_TEXT(parse("X\xff\xff\xff\xff"
                               "abc."),
                         FileError, "a text of 4294967295 bytes");
}

TEST_CASE("pickle: programs of random instructions end in an error or a document") {
  const std::string opcodes =
      "(.012FIJKLMNPQRSTUVXabcdeghijlopqrstu]})GBC\x80\x81\x82\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d"
      "\x8e\x8f\x90\x91\x92\x93\x94\x95\x96";
  const PickleLimits limits{.max_nodes = 10'000, .max_depth = 50};
  int parsed = 0;
  for (uint64_t seed = 0; seed < 20'000; ++seed) {
    Rng rng(seed);
    std::string bytes;
    for (int64_t n = rng.below(60); n >= 0; --n) {
      bytes += rng.below(4) == 0 ? char(rng.below(6))
                                 : opcodes[size_t(rng.below(int64_t(opcodes.size())))];
      if (rng.below(8) == 0) bytes += '\n';
    }
    try {
      const PickleDocument document = parse(bytes + ".", limits);
      document.describe(document.root());
      document.dict_entries(document.root());
      document.number(document.root());
      ++parsed;
    } catch (const FileError&) {
    }
  }
  CHECK(parsed > 100);
}
