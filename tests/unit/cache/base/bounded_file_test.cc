// Whole files: what is read, what is refused, and that nothing is waited for.
#include "cache/base/bounded_file.h"

#include <CppUTest/TestHarness.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/temporary_folder.h"

using namespace nearfield;

TEST_GROUP(BoundedFile) {
  TemporaryFolder folder;
  std::string path = folder.file("file");

  static void refused(const std::string& file, const std::string& message) {
    const auto text = read_bounded_file(file, 100);
    CHECK_FALSE(text.has_value());
    STRCMP_EQUAL(message.c_str(), text.error().message.c_str());
  }
};

TEST(BoundedFile, IsReadWhole) {
  for (const std::size_t size : {0, 1, 99, 100}) {
    std::ofstream(path) << std::string(size, 'x');
    const auto text = read_bounded_file(path, 100);
    CHECK_TRUE(text.has_value());
    CHECK(*text == std::string(size, 'x'));
    CHECK_TRUE(text->capacity() > size);
  }
}

TEST(BoundedFile, RefusesWhatIsTooLargeOrNotThere) {
  std::ofstream(path) << std::string(101, 'x');
  refused(path, path + " has more than 100 bytes: is it the right file?");
  const std::string missing = folder.file("none");
  refused(missing, "cannot open " + missing +
                       ": No such file or directory; check the path and its permissions");
}

// Opening the pipe would wait for a writer, reading the device would never end.
TEST(BoundedFile, RefusesWhatIsNoRegularFile) {
  LONGS_EQUAL(0, ::mkfifo(path.c_str(), 0600));
  for (const std::string& file : {path, folder.file(""), std::string("/dev/zero")}) {
    refused(file, "cannot read " + file +
                      ": it is a folder, a pipe or a device, and what is wanted is a regular file");
    CHECK_FALSE(may_be_opened(file));
  }
  CHECK_TRUE(may_be_opened(folder.file("none")));
  std::filesystem::remove(path);
  std::ofstream(path) << "x";
  CHECK_TRUE(may_be_opened(path));
}
