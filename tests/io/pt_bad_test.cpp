// SPDX-License-Identifier: MIT
// Checkpoints that are broken, or that mean harm.
#include <ydistill/tensor/io/pt.h>

#include <string>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/zip_archive.h>

#include "io/pt_fixtures.h"
#include "support/catch.h"
#include "support/files.h"

using namespace ydistill;
using namespace ydistill::test;
using namespace std::string_literals;

namespace {

const std::string kFloats = bytes_of(std::vector<float>{1, 2, 3, 4});

std::string float_storage(int64_t elements) {
  return pkl::storage("FloatStorage", "0", elements);
}

void check_refused(const std::string& object, const ZipEntries& storages, const std::string& text) {
  const TempDir dir;
  write_pt(dir / "bad.pt", object, storages);
  CHECK_THROWS_WITH_TEXT(read_pt(dir / "bad.pt", PtWeights::kModel), FileError, text);
}

/// The state dict's second tensor, `x`, is refused by name.
void check_tensor_refused(const std::string& tensor, const std::string& text) {
  const std::string object =
      pkl::ordered_dict({{"ok", pkl::tensor(float_storage(4), 0, {4}, {1})}, {"x", tensor}});
  check_refused(object, {{"0", kFloats}}, "bad.pt: x: ");
  check_refused(object, {{"0", kFloats}}, text);
}

void check_file_refused(const std::string& bytes, const std::string& text) {
  const TempDir dir;
  write_file(dir / "bad.pt", bytes);
  CHECK_THROWS_WITH_TEXT(read_pt(dir / "bad.pt", PtWeights::kModel), FileError, text);
}

/// Overwrites 4 bytes in the entry of the archive's directory that names `entry`.
void patch_directory(const std::filesystem::path& path, const std::string& entry, size_t offset,
                     uint32_t value) {
  std::string bytes = read_file(path);
  const size_t name = bytes.rfind(entry);
  const size_t header = name - 46;  // a central header is 46 bytes, then the name
  REQUIRE(bytes.substr(header, 4) == "PK\x01\x02");
  bytes.replace(header + offset, 4, pkl::little_endian(value, 4));
  write_file(path, bytes);
}
constexpr size_t kUnpackedSize = 24;

}  // namespace

TEST_CASE("pt: a call of os.system is inert and refused in the place of a weight") {
  const TempDir dir;
  const std::filesystem::path trace = dir / "called";
  const std::string evil =
      pkl::call("os", "system", pkl::tuple({pkl::text("touch " + trace.string())}));
  check_tensor_refused(evil, "is a call of 'os.system', expected a tensor (nothing was called)");
  check_refused(evil, {}, "bad.pt: holds a call of 'os.system', expected a checkpoint dictionary");
  check_refused(pkl::dict({{"model", evil}}), {}, "'model' is a call of 'os.system', expected");
  check_refused(pkl::module("m", "M", {{"weight", evil}}, {}, {}), {},
                "bad.pt: weight: is a call of 'os.system', expected a tensor");
  check_refused(pkl::module("m", "M", {}, {}, {{"child", evil}}), {},
                "bad.pt: child: is a call of 'os.system', expected a module");
  check_tensor_refused(pkl::parameter(evil), "is a call of 'os.system', expected a tensor");
  check_tensor_refused(
      pkl::call("torch._utils", "_rebuild_tensor_v2",
                pkl::tuple({evil, pkl::integer(0), pkl::integers({1}), pkl::integers({1})})),
      "its storage is a call of 'os.system', expected a persistent id");
  // Where it does not matter it stays what it is: nothing.
  write_pt(dir / "m.pt", pkl::dict({{"model", tiny_model()}, {"callback", evil}}), tiny_storages());
  CHECK(read_pt(dir / "m.pt", PtWeights::kModel).tensors.size() == 5);
  CHECK_FALSE(std::filesystem::exists(trace));
}

TEST_CASE("pt: files that are something else are named") {
  check_file_refused("", "bad.pt: is empty");
  check_file_refused("version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
                     "is a Git LFS pointer, not the file itself");
  check_file_refused("\n <!DOCTYPE html><html>", "is a web page, not a checkpoint");
  check_file_refused("just text\n", "is a text file, not a checkpoint");
  check_file_refused(
      "\x80\x02\x8a\nl\xfc\x9c"
      "F\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
      "of the form before PyTorch 1.6; load it and torch.save it again");
  check_file_refused("\x80\x04N.", "is a bare pickle");
  check_file_refused("\x1f\x8b\x08\x00"s, "is gzip data; unpack it first");
  check_file_refused("\x02\0\0\0\0\0\0\0{}"s, "looks like safetensors");
  check_file_refused("\x01\x02\x03\x04", "is no zip archive");
  const TempDir dir;
  CHECK_THROWS_WITH_TEXT(read_pt(dir / "a.pt", PtWeights::kModel), FileError,
                         "a.pt: does not exist");
  CHECK_THROWS_WITH_TEXT(read_pt(dir.path(), PtWeights::kModel), FileError,
                         "is not a regular file");
}

TEST_CASE("pt: a file cut short is refused at every length") {
  const TempDir dir;
  write_pt(dir / "m.pt", tiny_model(), tiny_storages());
  const std::string whole = read_file(dir / "m.pt");
  for (size_t length = 4; length < whole.size(); length += 97) {
    write_file(dir / "cut.pt", whole.substr(0, length));
    CHECK_THROWS_WITH_TEXT(read_pt(dir / "cut.pt", PtWeights::kModel), FileError,
                           "cut.pt: is cut short or damaged");
  }
}

TEST_CASE("pt: archives that are no checkpoint") {
  const TempDir dir;
  const auto refused = [&](const ZipEntries& entries, const std::string& text) {
    write_zip(dir / "a.pt", entries);
    CHECK_THROWS_WITH_TEXT(read_pt(dir / "a.pt", PtWeights::kModel), FileError, text);
  };
  refused({{"readme.txt", "x"}}, "a.pt: is a zip archive without a data.pkl");
  refused({{"a/data.pkl", "N."}, {"b/data.pkl", "N."}}, "holds more than one data.pkl");
  refused({{"a/data.pkl", "N."}, {"a/constants.pkl", "N."}}, "is a TorchScript archive");
  refused({{"a/data.pkl", "N."}, {"a/byteorder", "big"}},
          "its numbers are in 'big' byte order, expected 'little'");
  refused({{"a/data.pkl", "N."}}, "holds None, expected a checkpoint dictionary");
  refused({{"a/data.pkl", "(("}}, "a.pt: pickle, byte 2: is cut short");
}

TEST_CASE("pt: checkpoints without weights say what they hold") {
  check_refused(pkl::dict({{"epoch", pkl::integer(1)}, {"loss", pkl::none()}}), {},
                "bad.pt: holds no weights: its keys are epoch, loss");
  check_refused(pkl::dict({}), {}, "it is an empty dictionary");
  check_refused(pkl::module("m", "M", {}, {}, {}), {}, "bad.pt: holds no weights");
  check_refused(pkl::dict({{"model", pkl::integer(3)}}), {}, "'model' is the number 3");
}

TEST_CASE("pt: views never leave their storage") {
  const auto view = [](int64_t offset, const std::vector<int64_t>& sizes,
                       const std::vector<int64_t>& strides) {
    return pkl::tensor(float_storage(4), offset, sizes, strides);
  };
  check_tensor_refused(view(1, {4}, {1}),
                       "shape [4] with strides [1] from element 1 leaves its storage of 4");
  check_tensor_refused(view(0, {2, 2}, {3, 1}), "leaves its storage");
  check_tensor_refused(view(4, {1}, {1}), "leaves its storage");
  check_tensor_refused(view(0, {2}, {INT64_MAX}), "leaves its storage");
  check_tensor_refused(view(0, {3, 3}, {INT64_MAX / 2, INT64_MAX / 2}), "leaves its storage");
  check_tensor_refused(view(-1, {1}, {1}), "its storage offset is the number -1");
  check_tensor_refused(view(0, {-1}, {1}), "its shape holds the number -1");
  check_tensor_refused(view(0, {1}, {-1}), "its stride holds the number -1");
  check_tensor_refused(view(0, {1, 1}, {1}), "has 2 sizes and 1 strides");
  check_tensor_refused(view(0, {1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1}),
                       "has more than 6 dimensions");
  check_tensor_refused(view(0, {INT32_MAX, INT32_MAX, INT32_MAX}, {0, 0, 0}), "elements");
}

TEST_CASE("pt: a small file cannot ask for large tensors") {
  // One float, seen 2^40 times; and one storage, seen as many tensors.
  check_tensor_refused(pkl::tensor(float_storage(4), 0, {1 << 20, 1 << 20}, {0, 0}),
                       "shape [1048576,1048576] asks for far more than the 16 bytes");
  pkl::Entries many;
  for (int i = 0; i < 40; ++i) {
    many.emplace_back("x" + std::to_string(i),
                      pkl::tensor(float_storage(4), 0, {1 << 20, 1}, {0, 0}));
  }
  check_refused(pkl::ordered_dict(many), {{"0", kFloats}}, "asks for far more than the 16 bytes");
}

TEST_CASE("pt: storages have to be there and of the stated size") {
  check_tensor_refused(pkl::tensor(pkl::storage("FloatStorage", "9", 1), 0, {1}, {1}),
                       "its numbers are missing: the archive has no 'archive/data/9'");
  check_tensor_refused(pkl::tensor(float_storage(5), 0, {1}, {1}),
                       "its storage takes 20 bytes, 'archive/data/0' has 16");
  check_tensor_refused(pkl::tensor(pkl::storage("DoubleStorage", "0", 4), 0, {1}, {1}),
                       "its storage takes 32 bytes, 'archive/data/0' has 16");
  check_tensor_refused(pkl::tensor(float_storage(-1), 0, {0}, {1}), "its storage claims -1");
  check_tensor_refused(pkl::tensor(float_storage(INT64_MAX), 0, {1}, {1}), "its storage claims");
  check_tensor_refused(
      pkl::tensor(pkl::storage("ComplexFloatStorage", "0", 2), 0, {1}, {1}),
      "its storage has as its type the global 'torch.ComplexFloatStorage', which is no storage");
  check_tensor_refused(pkl::tensor(pkl::text("0") + "Q", 0, {1}, {1}),
                       "its storage is not written as");
  check_tensor_refused(pkl::call("torch._utils", "_rebuild_tensor_v2", ")"),
                       "its rebuilder has 0 arguments");
}

TEST_CASE("pt: modules that contain themselves end in an error") {
  // m = M(); m._modules = {'m': m}
  const std::string loop = "cm\nM\n)\x81q\x63" +
                           pkl::dict({{"_parameters", pkl::ordered_dict({})},
                                      {"_buffers", pkl::ordered_dict({})},
                                      {"_modules", pkl::dict({{"m", "h\x63"}})}}) +
                           "b";
  check_refused(loop, {}, "its modules are nested more than 64 deep");
  // ... and twice on each level: 2^64 ways.
  const std::string twice = "cm\nM\n)\x81q\x63" +
                            pkl::dict({{"_parameters", pkl::ordered_dict({})},
                                       {"_buffers", pkl::ordered_dict({})},
                                       {"_modules", pkl::dict({{"a", "h\x63"}, {"b", "h\x63"}})}}) +
                            "b";
  check_refused(twice, {}, "nested more than 64 deep");
}

TEST_CASE("pt: a small file cannot ask for endless names or steps") {
  check_refused(pkl::module("m", std::string(1001, 'M'), {}, {}, {}), {},
                "a class's name is too long");
  // A module's state as a list of pairs, most of which are none, shared by many modules.
  std::string items = "](";
  for (const char* name : {"_parameters", "_buffers", "_modules"}) {
    items += pkl::list({pkl::text(name), pkl::ordered_dict({})});
  }
  for (int i = 0; i < 200'000; ++i) items += pkl::none();
  const std::string state = pkl::call("collections", "OrderedDict", pkl::tuple({items + "e"}));
  pkl::Entries children{{"0", pkl::global("m", "M") + ")\x81" + state + "bq\x63"}};
  for (int i = 1; i < 100; ++i) children.emplace_back(std::to_string(i), "h\x63");
  check_refused(pkl::module("m", "M", {}, {}, children), {}, "steps to walk");
}

TEST_CASE("pt: odd facts are refused by name") {
  const auto with = [](const std::string& key, const std::string& value) {
    return tiny_model("", {{key, value}});
  };
  check_refused(with("names", pkl::integer(3)), tiny_storages(), "class names are the number 3");
  check_refused(with("names", pkl::list({pkl::none()})), tiny_storages(), "class 0 is called None");
  check_refused(with("names", "}(K\x01" + pkl::text("a") + "u"), tiny_storages(),
                "class names have the key the number 1, expected 0 to 0");
  check_refused(with("names", pkl::list({pkl::text(std::string(1001, 'a'))})), tiny_storages(),
                "class 0 has a name of 1001 bytes, 1000 are allowed");
  std::string many = "](" + pkl::text("a") + "q\x63";
  for (int i = 0; i < 100'000; ++i) many += "h\x63";
  check_refused(with("names", many + "e"), tiny_storages(), "it has more than 100000 class names");
  check_refused(with("yaml", pkl::dict({{"nc", pkl::global("os", "system")}})), tiny_storages(),
                "bad.pt: the model's yaml holds the global 'os.system'");
  check_refused(with("stride", pkl::list({pkl::integer(0)})), tiny_storages(),
                "its strides hold 0, expected numbers > 0");
}

TEST_CASE("zip_archive: a zip bomb is refused before it unpacks") {
  const TempDir dir;
  write_zip(dir / "bomb.pt", {{"a/data.pkl", std::string(8 << 20, '\0')}}, ZIP_CM_DEFLATE);
  CHECK(std::filesystem::file_size(dir / "bomb.pt") < 20'000);
  ZipArchive archive(dir / "bomb.pt", {.free_bytes = 1 << 20});
  CHECK_THROWS_WITH_TEXT(archive.read("a/data.pkl"), FileError,
                         "bomb.pt: looks like a zip bomb: with 'a/data.pkl' (8388608 bytes from");
  ZipArchive small(dir / "bomb.pt", {.max_entry_bytes = 1 << 20});
  CHECK_THROWS_WITH_TEXT(small.read("a/data.pkl"), FileError,
                         "'a/data.pkl' unpacks to 8388608 bytes, 1048576 are allowed");
  // With the bounds read_pt uses, through a storage that claims three gigabytes.
  const std::string tensor =
      pkl::tensor(pkl::storage("ByteStorage", "0", 3'000'000'000), 0, {1}, {1});
  write_zip(dir / "claim.pt",
            {{"a/data.pkl", pkl::program(pkl::ordered_dict({{"x", tensor}}))},
             {"a/data/0", std::string(10'000, '\0')}},
            ZIP_CM_DEFLATE);
  patch_directory(dir / "claim.pt", "a/data/0", kUnpackedSize, 3'000'000'000);
  CHECK_THROWS_WITH_TEXT(read_pt(dir / "claim.pt", PtWeights::kModel), FileError,
                         "looks like a zip bomb: with 'a/data/0' (3000000000 bytes from");
}

TEST_CASE("zip_archive: entries that lie about their size are refused") {
  const TempDir dir;
  for (const uint32_t claim : {100u, 9'000u, 20'000u}) {
    write_zip(dir / "lie.zip", {{"x", std::string(10'000, 'x')}}, ZIP_CM_DEFLATE);
    patch_directory(dir / "lie.zip", "x", kUnpackedSize, claim);
    ZipArchive archive(dir / "lie.zip");
    CHECK_THROWS_WITH_TEXT(archive.read("x"), FileError, "lie.zip: 'x'");
  }
  write_zip(dir / "stored.zip", {{"x", std::string(10'000, 'x')}});
  patch_directory(dir / "stored.zip", "x", kUnpackedSize, 2'000'000'000);
  ZipArchive stored(dir / "stored.zip");
  CHECK_THROWS_WITH_TEXT(stored.read("x"), FileError, "stored.zip: 'x' claims 2000000000 bytes");
}

TEST_CASE("zip_archive: a damaged entry is noticed by its checksum") {
  const TempDir dir;
  write_zip(dir / "a.zip", {{"x", std::string(1000, 'x')}});
  std::string bytes = read_file(dir / "a.zip");
  bytes[500] = 'y';
  write_file(dir / "a.zip", bytes);
  ZipArchive archive(dir / "a.zip");
  CHECK_THROWS_WITH_TEXT(archive.read("x"), FileError, "a.zip: 'x' is damaged");
  CHECK_THROWS_WITH_TEXT(archive.read("y"), FileError, "a.zip: has no entry 'y'");
}

TEST_CASE("zip_archive: packed entries are read as well as stored ones") {
  const TempDir dir;
  write_zip(dir / "a.zip", {{"x", std::string(1000, 'x')}, {"empty", ""}}, ZIP_CM_DEFLATE);
  ZipArchive archive(dir / "a.zip");
  CHECK(archive.entries() == std::vector<std::string>{"x", "empty"});
  CHECK(archive.read("x").size() == 1000);
  CHECK(archive.read("empty").empty());
}
