// Points multiplied by nettle under the library's name: the numbers of the RFCs, and the library's
// own answer to whatever else.
#include "dataplane/tls/point_multiplication.h"

#include <CppUTest/TestHarness.h>
#include <mbedtls/ecdh.h>
#include <mbedtls/ecp.h>

#include <cstddef>
#include <latch>
#include <random>
#include <string>
#include <thread>
#include <utility>

#include "dataplane/tls/library.h"
#include "tests/unit/dataplane/tls/tls_test_support.h"
#include "tests/unit/memory_search.h"

extern "C" {
int __real_mbedtls_ecp_mul_restartable(mbedtls_ecp_group* group, mbedtls_ecp_point* result,
                                       const mbedtls_mpi* scalar, const mbedtls_ecp_point* point,
                                       int (*random)(void*, unsigned char*, std::size_t),
                                       void* random_context, mbedtls_ecp_restart_ctx* restart);
int __wrap_mbedtls_ecp_mul(mbedtls_ecp_group* group, mbedtls_ecp_point* result,
                           const mbedtls_mpi* scalar, const mbedtls_ecp_point* point,
                           int (*random)(void*, unsigned char*, std::size_t), void* random_context);
}

using namespace nearfield;
using namespace nearfield::tls;
using namespace nearfield::tls::test;

namespace {

std::mt19937_64 numbers{20261122};  // NOLINT: every run is the same

int fill(void*, unsigned char* bytes, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<unsigned char>(numbers());
  return 0;
}

class Integer {
 public:
  Integer() { mbedtls_mpi_init(&value_); }
  explicit Integer(const char* digits) : Integer() {
    LONGS_EQUAL(0, mbedtls_mpi_read_string(&value_, 16, digits));
  }
  explicit Integer(const Bytes& little_endian) : Integer() {
    mbedtls_mpi_read_binary_le(&value_, as_chars(little_endian.data()), little_endian.size());
  }
  Integer(const Integer&) = delete;
  Integer& operator=(const Integer&) = delete;
  ~Integer() { mbedtls_mpi_free(&value_); }
  mbedtls_mpi* get() { return &value_; }

 private:
  mbedtls_mpi value_;
};

class Point {
 public:
  Point() { mbedtls_ecp_point_init(&point_); }
  Point(const Point&) = delete;
  Point& operator=(const Point&) = delete;
  ~Point() { mbedtls_ecp_point_free(&point_); }
  mbedtls_ecp_point* get() { return &point_; }
  mbedtls_mpi& x() { return point_.MBEDTLS_PRIVATE(X); }
  mbedtls_mpi& y() { return point_.MBEDTLS_PRIVATE(Y); }
  mbedtls_mpi& z() { return point_.MBEDTLS_PRIVATE(Z); }

 private:
  mbedtls_ecp_point point_;
};

class Group {
 public:
  explicit Group(mbedtls_ecp_group_id id) {
    mbedtls_ecp_group_init(&group_);
    LONGS_EQUAL(0, mbedtls_ecp_group_load(&group_, id));
  }
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;
  ~Group() { mbedtls_ecp_group_free(&group_); }
  mbedtls_ecp_group* get() { return &group_; }
  const mbedtls_ecp_point& generator() const { return group_.G; }

  int ours(Point& result, const mbedtls_mpi& scalar, const mbedtls_ecp_point& point) {
    return mbedtls_ecp_mul(&group_, result.get(), &scalar, &point, fill, nullptr);
  }
  int library(Point& result, const mbedtls_mpi& scalar, const mbedtls_ecp_point& point) {
    return __real_mbedtls_ecp_mul_restartable(&group_, result.get(), &scalar, &point, fill, nullptr,
                                              nullptr);
  }

 private:
  mbedtls_ecp_group group_;
};

}  // namespace

TEST_GROUP(PointMultiplication) {
  Group curve25519{MBEDTLS_ECP_DP_CURVE25519};
  Group p256{MBEDTLS_ECP_DP_SECP256R1};

  void setup() override { CHECK_TRUE(start_library().has_value()); }

  static void clamp(Bytes & scalar) {  // RFC 7748 5
    scalar[0] &= std::byte{248};
    scalar[31] = (scalar[31] & std::byte{127}) | std::byte{64};
  }
  Bytes x25519(Bytes scalar, const Bytes& coordinate) {
    clamp(scalar);
    Integer factor(scalar);
    Point point;
    Point result;
    Bytes out(32);
    LONGS_EQUAL(0, mbedtls_ecp_point_read_binary(curve25519.get(), point.get(),
                                                 as_chars(coordinate.data()), coordinate.size()));
    LONGS_EQUAL(0, curve25519.ours(result, *factor.get(), *point.get()));
    LONGS_EQUAL(0, mbedtls_mpi_write_binary_le(&result.x(), as_chars(out.data()), out.size()));
    return out;
  }

  void same(Group & group, const mbedtls_mpi& scalar, const mbedtls_ecp_point& point) {
    Point ours;
    Point theirs;
    const int error = group.library(theirs, scalar, point);
    LONGS_EQUAL(error, group.ours(ours, scalar, point));
    if (error == 0) LONGS_EQUAL(0, mbedtls_ecp_point_cmp(ours.get(), theirs.get()));
  }
};

TEST(PointMultiplication, WhatTheLibraryCallsIsOurs) {
  // The compiler holds two names for two functions; the linker has made one of them.
  auto* volatile called = &mbedtls_ecp_mul;
  auto* volatile ours = &__wrap_mbedtls_ecp_mul;
  CHECK_TRUE(called == ours);
}

TEST(PointMultiplication, MultipliesOnCurve25519AsRfc7748) {
  STRCMP_EQUAL(
      "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
      to_hex(x25519(hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
                    hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")))
          .c_str());
  STRCMP_EQUAL(
      "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
      to_hex(x25519(hex("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"),
                    hex("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493")))
          .c_str());
  Bytes scalar(32);
  scalar[0] = std::byte{9};
  Bytes coordinate = scalar;
  for (int i = 0; i < 1000; ++i) {
    const Bytes next = x25519(scalar, coordinate);
    coordinate = std::exchange(scalar, next);
    if (i == 0) {
      STRCMP_EQUAL("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079",
                   to_hex(scalar).c_str());
    }
  }
  STRCMP_EQUAL("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51",
               to_hex(scalar).c_str());
}

TEST(PointMultiplication, MultipliesOnP256AsRfc5903) {
  Integer ours("C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433");
  Integer theirs("C6EF9C5D78AE012A011164ACB397CE2088685D8F06BF9BE0B283AB46476BEE53");
  Integer x("DAD0B65394221CF9B051E1FECA5787D098DFE637FC90B9EF945D0C3772581180");
  Integer y("5271A0461CDB8252D61F1C456FA3E59AB1F45B33ACCF5F58389E0577B8990BB3");
  Integer shared("D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE");
  Point point;
  LONGS_EQUAL(0, p256.ours(point, *ours.get(), p256.generator()));
  LONGS_EQUAL(0, mbedtls_mpi_cmp_mpi(&point.x(), x.get()));
  LONGS_EQUAL(0, mbedtls_mpi_cmp_mpi(&point.y(), y.get()));
  // Into the point itself, as the library allows.
  LONGS_EQUAL(0, p256.ours(point, *theirs.get(), *point.get()));
  LONGS_EQUAL(0, mbedtls_mpi_cmp_mpi(&point.x(), shared.get()));
}

TEST(PointMultiplication, IsTheLibrarysForAnyScalarAndPoint) {
  for (Group* group : {&curve25519, &p256}) {
    Point point;
    LONGS_EQUAL(0, mbedtls_ecp_copy(point.get(), &group->generator()));
    for (int i = 0; i < 100; ++i) {
      Integer scalar;
      LONGS_EQUAL(0, mbedtls_ecp_gen_privkey(group->get(), scalar.get(), fill, nullptr));
      same(*group, *scalar.get(), *point.get());
      // On from there.
      LONGS_EQUAL(0, group->ours(point, *scalar.get(), *point.get()));
    }
  }
  // Coordinates with zeros in front, and both ends of the range of scalars.
  Integer last;
  LONGS_EQUAL(0, mbedtls_mpi_sub_int(last.get(), &p256.get()->N, 1));
  for (const int small : {1, 2, 3, 16}) {
    Integer scalar;
    Point point;
    LONGS_EQUAL(0, mbedtls_mpi_lset(scalar.get(), small));
    same(p256, *scalar.get(), p256.generator());
    LONGS_EQUAL(0, p256.ours(point, *scalar.get(), p256.generator()));
    same(p256, *last.get(), *point.get());
    same(p256, *scalar.get(), *point.get());
  }
  same(p256, *last.get(), p256.generator());
}

TEST(PointMultiplication, RefusesWhatTheLibraryRefuses) {
  Integer zero("0");
  Integer one("1");
  Integer order;
  Integer negative("-5");
  Integer large(std::string(80, 'F').c_str());
  LONGS_EQUAL(0, mbedtls_mpi_copy(order.get(), &p256.get()->N));
  for (Integer* scalar : {&zero, &one, &order, &negative, &large}) {
    same(p256, *scalar->get(), p256.generator());
    same(curve25519, *scalar->get(), curve25519.generator());
  }
  Integer scalar;
  LONGS_EQUAL(0, mbedtls_ecp_gen_privkey(p256.get(), scalar.get(), fill, nullptr));
  Point off_the_curve;
  LONGS_EQUAL(0, mbedtls_ecp_copy(off_the_curve.get(), &p256.generator()));
  LONGS_EQUAL(0, mbedtls_mpi_add_int(&off_the_curve.y(), &off_the_curve.y(), 1));
  same(p256, *scalar.get(), *off_the_curve.get());
  Point infinite;
  LONGS_EQUAL(0, mbedtls_ecp_set_zero(infinite.get()));
  same(p256, *scalar.get(), *infinite.get());
  same(p256, *scalar.get(), curve25519.generator());
  LONGS_EQUAL(0, mbedtls_ecp_gen_privkey(curve25519.get(), scalar.get(), fill, nullptr));
  same(curve25519, *scalar.get(), *infinite.get());
  // Of small order (RFC 7748 6.1): all they make is zero.
  for (const char* x : {"0", "1", "b8495f16056286fdb1329ceb8d09da6ac49ff1fae35616aeb8413b7c7aebe0",
                        "57119fd0dd4e22d8868e1c58c45c44045bef839c55b1d0b1248c50a3bc959c5f",
                        "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffec",
                        "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed",
                        "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffee",
                        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"}) {
    Integer coordinate(x);
    Point point;
    LONGS_EQUAL(0, mbedtls_mpi_copy(&point.x(), coordinate.get()));
    LONGS_EQUAL(0, mbedtls_mpi_lset(&point.z(), 1));
    same(curve25519, *scalar.get(), *point.get());
  }
}

TEST(PointMultiplication, LeavesOtherCurvesToTheLibrary) {
  for (const auto id : {MBEDTLS_ECP_DP_SECP384R1, MBEDTLS_ECP_DP_CURVE448}) {
    Group group(id);
    Integer scalar;
    LONGS_EQUAL(0, mbedtls_ecp_gen_privkey(group.get(), scalar.get(), fill, nullptr));
    same(group, *scalar.get(), group.generator());
  }
}

TEST(PointMultiplication, LeavesNoScalarBehind) {
  Point other25519;
  Point other256;
  Integer factor("2000000000000000000000000000000000000000000000000000000000000008");
  Integer clamped("4000000000000000000000000000000000000000000000000000000000000008");
  LONGS_EQUAL(0, p256.ours(other256, *factor.get(), p256.generator()));
  LONGS_EQUAL(0, curve25519.ours(other25519, *clamped.get(), curve25519.generator()));
  const std::pair<Group*, const mbedtls_ecp_point*> cases[] = {
      {&curve25519, &curve25519.generator()},
      {&curve25519, other25519.get()},
      {&p256, &p256.generator()},
      {&p256, other256.get()}};
  for (const auto& [group, point] : cases) {
    Bytes secret(32);
    fill(nullptr, as_chars(secret.data()), secret.size());
    clamp(secret);
    // Of a thread that has not ended the stack is looked through as well.
    std::latch multiplied(1);
    std::latch searched(1);
    std::thread worker([&] {
      {
        Integer scalar(secret);
        Point result;
        LONGS_EQUAL(0, group->ours(result, *scalar.get(), *point));
      }
      multiplied.count_down();
      searched.wait();
    });
    multiplied.wait();
    // The second half: freed memory keeps its list in the first.
    const std::size_t left = count_in_memory({as_chars(secret.data()) + 16, 16});
    searched.count_down();
    worker.join();
    LONGS_EQUAL(0, left);
  }
}
