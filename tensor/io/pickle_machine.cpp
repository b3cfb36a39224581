// SPDX-License-Identifier: MIT
// The instructions of the pickle protocols 0 to 5, as CPython's Lib/pickletools.py describes them.
#include <charconv>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/pickle_builder.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace {

class PickleMachine : private PickleBuilder {
 public:
  PickleMachine(std::span<const std::byte> bytes, std::string_view source,
                const PickleLimits& limits)
      : PickleBuilder(bytes, source, limits) {
    none_ = add(PickleKind::kNone);
    false_ = add(PickleKind::kBool);
    true_ = add(PickleKind::kBool);
    node(true_).integer = 1;
    empty_tuple_ = add(PickleKind::kTuple);
  }

  PickleDocument run() {
    for (;;) {
      in_.mark_instruction();
      const char opcode = char(in_.byte());
      if (opcode == '.') break;
      step(opcode);
    }
    return finish();
  }

 private:
  void step(char opcode) {
    switch (uint8_t(opcode)) {
      // constants
      case 'N':
        return push(none_);
      case 0x88:
        return push(true_);
      case 0x89:
        return push(false_);
      case ')':
        return push(empty_tuple_);
      // integers
      case 'J':
        return push_int(int32_t(uint32_t(in_.number(4))));
      case 'K':
        return push_int(int64_t(in_.number(1)));
      case 'M':
        return push_int(int64_t(in_.number(2)));
      case 'I':
        return push_int_line();
      case 'L':
        return push_long_line();
      case 0x8a:
        return push_integer(integer_from_bytes(in_.take(in_.byte())));
      case 0x8b:
        return push_integer(integer_from_bytes(in_.take(checked_length(4))));
      // floats
      case 'G':
        return push_float(in_.big_endian_double());
      case 'F':
        return push_float_line();
      // text and bytes
      case 'X':
        return push_text(std::string(in_.take(checked_length(4))));
      case 0x8c:
        return push_text(std::string(in_.take(checked_length(1))));
      case 0x8d:
        return push_text(std::string(in_.take(checked_length(8))));
      case 'V':
        return push_text(unescape_raw_unicode(checked_line()));
      case 'S':
        return push_quoted_line();
      case 'T':
        return push_latin1(in_.take(checked_length(4)));
      case 'U':
        return push_latin1(in_.take(checked_length(1)));
      case 'B':
        return push_bytes(in_.take(checked_length(4)));
      case 'C':
        return push_bytes(in_.take(checked_length(1)));
      case 0x8e:
      case 0x96:
        return push_bytes(in_.take(checked_length(8)));
      // containers
      case '(':
        return push_mark();
      case ']':
        return push(add(PickleKind::kList));
      case '}':
        return push(add(PickleKind::kDict));
      case 0x8f:
        return push(add(PickleKind::kSet));
      case 'l':
        return push_collection(PickleKind::kList, pop_to_mark());
      case 't':
        return push_collection(PickleKind::kTuple, pop_to_mark());
      case 0x91:
        return push_collection(PickleKind::kSet, pop_to_mark());
      case 0x85:
        return push_collection(PickleKind::kTuple, pop_last(1));
      case 0x86:
        return push_collection(PickleKind::kTuple, pop_last(2));
      case 0x87:
        return push_collection(PickleKind::kTuple, pop_last(3));
      case 'd': {
        const Refs entries = pop_to_mark();
        push(add(PickleKind::kDict));
        return set_entries(entries);
      }
      case 'a':
        return append(pop_last(1));
      case 'e':
        return append(pop_to_mark());
      case 0x90:
        return append(pop_to_mark());
      case 's':
        return set_entries(pop_last(2));
      case 'u':
        return set_entries(pop_to_mark());
      // stack and memo
      case '0':
        return pop_or_unmark();
      case '1':
        return void(pop_to_mark());
      case '2':
        return push(top());
      case 'q':
        return memo_put(in_.number(1));
      case 'r':
        return memo_put(in_.number(4));
      case 'p':
        return memo_put(memo_line());
      case 0x94:
        return memo_put(memo_size());
      case 'h':
        return memo_get(in_.number(1));
      case 'j':
        return memo_get(in_.number(4));
      case 'g':
        return memo_get(memo_line());
      // names and calls, which are recorded, never executed
      case 'c': {
        const std::string_view module = checked_line();
        return push_global(module, checked_line());
      }
      case 0x93: {
        const Refs names = pop_last(2);
        return push_global(text_of(names[0]), text_of(names[1]));
      }
      case 'R':
      case 0x81: {
        const Refs call = pop_last(2);
        return push_call(call[0], call[1], kNoPickle);
      }
      case 0x92: {
        const Refs call = pop_last(3);
        return push_call(call[0], call[1], call[2]);
      }
      case 'o': {
        Refs call = pop_to_mark();
        if (call.empty()) in_.fail("OBJ names no class");
        const PickleRef callable = call.front();
        call.erase(call.begin());
        return push_call(callable, collection(PickleKind::kTuple, std::move(call)), kNoPickle);
      }
      case 'i': {
        const std::string_view module = checked_line();
        const std::string_view name = checked_line();
        const PickleRef args = collection(PickleKind::kTuple, pop_to_mark());
        push_global(module, name);
        return push_call(pop(), args, kNoPickle);
      }
      case 'b':
        return build(pop());
      case 'Q':
        return push_collection(PickleKind::kPersistent, pop_last(1));
      case 'P': {
        push_text(unescape_raw_unicode(checked_line()));
        return push_collection(PickleKind::kPersistent, pop_last(1));
      }
      // framing
      case 0x80: {
        const uint8_t protocol = in_.byte();
        if (protocol > 5) in_.fail(fmt::format("protocol {} is unknown (0 to 5 are)", protocol));
        return;
      }
      case 0x95: {
        const uint64_t length = in_.number(8);
        if (length > in_.remaining()) in_.fail("is cut short: a frame goes beyond the end");
        return;
      }
      case 0x82:
      case 0x83:
      case 0x84:
        in_.fail("extension codes have no meaning in a checkpoint");
      case 0x97:
      case 0x98:
        in_.fail("out-of-band buffers have no meaning in a checkpoint");
      default:
        in_.fail(fmt::format("0x{:02x} is no pickle instruction", uint8_t(opcode)));
    }
  }

  uint64_t checked_length(size_t nbytes) {
    const uint64_t length = in_.number(nbytes);
    if (length > uint64_t(limits_.max_string)) {
      in_.fail(fmt::format("a text of {} bytes, {} are allowed", length, limits_.max_string));
    }
    return length;
  }

  std::string_view checked_line() {
    const std::string_view line = in_.line();
    if (int64_t(line.size()) > limits_.max_string) {
      in_.fail(fmt::format("a text of {} bytes, {} are allowed", line.size(), limits_.max_string));
    }
    return line;
  }

  uint64_t memo_line() {
    const PickleInteger key = integer_from_text(checked_line());
    if (!key.valid || !key.fits || key.integer < 0) in_.fail("a memo number is none");
    return uint64_t(key.integer);
  }

  void push_int(int64_t value) {
    const PickleRef ref = add(PickleKind::kInt);
    node(ref).integer = value;
    node(ref).number = double(value);
    push(ref);
  }

  void push_integer(const PickleInteger& value) {
    if (!value.valid) in_.fail("an integer is none");
    push_int(value.integer);
    if (value.fits) return;
    node(top()).kind = PickleKind::kBigInt;
    node(top()).number = value.number;
  }

  void push_int_line() {
    const std::string_view line = checked_line();
    if (line == "00") return push(false_);
    if (line == "01") return push(true_);
    push_integer(integer_from_text(line));
  }

  void push_long_line() {
    std::string_view line = checked_line();
    if (line.ends_with('L')) line.remove_suffix(1);
    push_integer(integer_from_text(line));
  }

  void push_float(double value) {
    const PickleRef ref = add(PickleKind::kFloat);
    node(ref).number = value;
    push(ref);
  }

  void push_float_line() {
    const std::string_view line = checked_line();
    double value = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value);
    if (error == std::errc::invalid_argument || end != line.data() + line.size()) {
      in_.fail("a float is none");
    }
    push_float(value);
  }

  void push_text(std::string text) {
    if (!is_utf8(text)) in_.fail("a text is not UTF-8");
    const PickleRef ref = add(PickleKind::kString);
    node(ref).text = std::move(text);
    push(ref);
  }

  void push_quoted_line() {
    std::string text;
    if (!unescape_quoted(checked_line(), text)) in_.fail("a text is not quoted");
    push_text(std::move(text));
  }

  /// A Python 2 string, which may be bytes or text. In checkpoints it is text.
  void push_latin1(std::string_view bytes) {
    std::string text;
    if (is_utf8(bytes)) return push_text(std::string(bytes));
    for (const char byte : bytes) append_utf8(text, uint8_t(byte));
    push_text(std::move(text));
  }

  void push_bytes(std::string_view bytes) {
    const PickleRef ref = add(PickleKind::kBytes);
    node(ref).text = bytes;
    push(ref);
  }

  std::string text_of(PickleRef ref) {
    if (node(ref).kind != PickleKind::kString) {
      in_.fail("a global is named by " + document_.describe(ref));
    }
    return node(ref).text;
  }

  void push_global(std::string_view module, std::string_view name) {
    if (!is_utf8(module) || !is_utf8(name)) in_.fail("a text is not UTF-8");
    const PickleRef ref = add(PickleKind::kGlobal);
    node(ref).text = std::string(module) + "." + std::string(name);
    push(ref);
  }

  PickleRef none_ = 0, false_ = 0, true_ = 0, empty_tuple_ = 0;
};

}  // namespace

PickleDocument parse_pickle(std::span<const std::byte> bytes, std::string_view source,
                            const PickleLimits& limits) {
  return PickleMachine(bytes, source, limits).run();
}

}  // namespace ydistill
