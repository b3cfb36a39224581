// SPDX-License-Identifier: MIT
#include <ydistill/distill/class_match.h>
#include <ydistill/tensor/error.h>

#include "support/catch.h"

namespace ydistill {
namespace {

using Names = std::vector<std::string>;
using Ids = std::vector<int64_t>;
using Parts = std::vector<std::vector<int64_t>>;

const Names kTeacher{"person", "bicycle", "car", "hair drier"};

TEST_CASE("class_match: the same classes in the same order are taken as they are") {
  const ClassMatch match = match_classes(kTeacher, kTeacher);
  CHECK(match.is_identity());
  CHECK(match.others().empty());
  CHECK_FALSE(match.has_unknown());
  CHECK(describe(match, kTeacher, kTeacher).empty());
  // Also where they are called alike, or nobody has named them.
  CHECK(match_classes({"ape", "ape"}, {"ape", "ape"}).is_identity());
  CHECK(match_classes({"class0", "class1"}, {"class0", "class1"}).is_identity());
}

TEST_CASE("class_match: fewer classes in another order are found by their names") {
  const Names student{"car", "person"};
  const ClassMatch match = match_classes(student, kTeacher);
  CHECK(match.made_of == Parts{{2}, {0}});
  CHECK(match.others() == Ids{1, 3});
  CHECK_FALSE(match.has_unknown());
  CHECK_FALSE(match.is_identity());
  CHECK(describe(match, student, kTeacher) == "2 of its 4 classes are the student's: car, person");
  // All of them, in another order: nothing else is there to be seen.
  const ClassMatch turned = match_classes({"hair drier", "car", "bicycle", "person"}, kTeacher);
  CHECK(turned.made_of == Parts{{3}, {2}, {1}, {0}});
  CHECK(turned.others().empty());
  CHECK_FALSE(turned.is_identity());
}

TEST_CASE("class_match: classes of other names, and ones that the teacher lacks, are told to it") {
  const Names student{"helmet", "walker", "car"};
  const ClassMatch match = match_classes(student, kTeacher, {"", "person", "car"});
  CHECK(match.made_of == Parts{{}, {0}, {2}});
  CHECK(match.has_unknown());
  CHECK(match.known() == Ids{1, 2});
  CHECK(describe(match, student, kTeacher) ==
        "2 of its 4 classes are the student's: walker (person), car; it does not know helmet");
  // As many as the teacher knows, and still not the same.
  const ClassMatch moved =
      match_classes({"a", "b", "c", "d"}, kTeacher, {"", "person", "car", "bicycle"});
  CHECK(moved.others() == Ids{3});
  CHECK_FALSE(moved.is_identity());
}

TEST_CASE("class_match: several of the teacher's classes can be one of the student's") {
  const ClassMerges merges{{"vehicle", {"car", "bicycle", "boat"}}};
  const Names student{"vehicle", "person"};
  const ClassMatch match = match_classes(student, kTeacher, {}, merges);
  CHECK(match.made_of == Parts{{1, 2}, {0}});
  CHECK(match.others() == Ids{3});
  CHECK(match.sizes() == Ids{2, 1});
  CHECK(match.student_class() == Ids{0, 0, 1, 2});
  CHECK(describe(match, student, kTeacher) ==
        "3 of its 4 classes are the student's: vehicle (bicycle, car), person");
  // By other names, beside one that it does not know, and all of them.
  const ClassMatch named = match_classes({"helmet", "thing"}, kTeacher, {"", "vehicle"}, merges);
  CHECK(named.made_of == Parts{{}, {1, 2}});
  CHECK(named.sizes() == Ids{1, 2});
  CHECK(named.student_class() == Ids{0, 1, 1, 2, 2});
  const ClassMatch all = match_classes({"any"}, kTeacher, {}, {{"any", kTeacher}});
  CHECK_FALSE(all.is_identity());
  CHECK(all.others().empty());
  // A part of it is no class any more.
  CHECK_THROWS_WITH_TEXT(match_classes({"car"}, kTeacher, {}, merges), ConfigError,
                         "it knows no class \"car\"");
}

TEST_CASE("class_match: what cannot be matched is refused with what would be right") {
  CHECK_THROWS_WITH_TEXT(
      match_classes({"person", "helmet"}, kTeacher), ConfigError,
      "it knows no class \"helmet\", \"person\" is the nearest of person, bicycle, "
      "car, hair drier; teacher.classes names one of the teacher's for each of the "
      "student's (person, helmet), \"\" for one that it does not know");
  CHECK_THROWS_WITH_TEXT(match_classes({"Person"}, kTeacher), ConfigError,
                         "it knows no class \"Person\", \"person\" is the nearest of");
  CHECK_THROWS_WITH_TEXT(match_classes({"a", "b"}, kTeacher, {"person"}), ConfigError,
                         "teacher.classes: 1 names for the student's 2 classes (a, b)");
  CHECK_THROWS_WITH_TEXT(
      match_classes({"a"}, kTeacher, {"Car"}), ConfigError,
      "teacher.classes: the teacher knows no class \"Car\", \"car\" is the nearest");
  CHECK_THROWS_WITH_TEXT(match_classes({"a", "b"}, kTeacher, {"car", "car"}), ConfigError,
                         "two of the student's classes would be its \"car\"");
  CHECK_THROWS_WITH_TEXT(match_classes({"car", "car"}, kTeacher), ConfigError,
                         "two of the student's classes would be its \"car\"");
  CHECK_THROWS_WITH_TEXT(match_classes({"a", "b"}, kTeacher, {"", ""}), ConfigError,
                         "teacher.classes: the teacher knows none of the student's classes (a, b)");
  CHECK_THROWS_WITH_TEXT(match_classes({"ape"}, {"ape", "owl", "ape"}), ConfigError,
                         "two of its classes are called \"ape\"");
}

TEST_CASE("class_match: numbers that stand for names match nothing by chance") {
  CHECK_THROWS_WITH_TEXT(match_classes({"class0", "class1"}, {"class0", "class1", "class2"}),
                         ConfigError, "the data has no name for class 0");
  CHECK(match_classes({"class0"}, kTeacher, {"car"}).made_of == Parts{{2}});
}

}  // namespace
}  // namespace ydistill
