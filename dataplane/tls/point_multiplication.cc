// See point_multiplication.h. The awkward part: three forms of the same numbers, mbedTLS's
// integers, bytes for Curve25519 and GMP's integers for P-256. They meet in arrays of limbs on the
// stack, which are bytes of a little-endian number at once.
#include "dataplane/tls/point_multiplication.h"

#include <gmp.h>
#include <mbedtls/ecp.h>
#include <nettle/curve25519.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecc.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <span>

#include "dataplane/tls/secrets.h"

// NOLINTBEGIN(bugprone-reserved-identifier): the names are the linker's.
extern "C" {

using RandomFunction = int(void*, unsigned char*, std::size_t);

// The linker's names: what is called by the library's name comes to __wrap_, the library's own is
// __real_.
int __real_mbedtls_ecp_mul_restartable(mbedtls_ecp_group* group, mbedtls_ecp_point* result,
                                       const mbedtls_mpi* scalar, const mbedtls_ecp_point* point,
                                       RandomFunction* random, void* random_context,
                                       mbedtls_ecp_restart_ctx* restart);
int __wrap_mbedtls_ecp_mul_restartable(mbedtls_ecp_group* group, mbedtls_ecp_point* result,
                                       const mbedtls_mpi* scalar, const mbedtls_ecp_point* point,
                                       RandomFunction* random, void* random_context,
                                       mbedtls_ecp_restart_ctx* restart);
int __wrap_mbedtls_ecp_mul(mbedtls_ecp_group* group, mbedtls_ecp_point* result,
                           const mbedtls_mpi* scalar, const mbedtls_ecp_point* point,
                           RandomFunction* random, void* random_context);
}
// NOLINTEND(bugprone-reserved-identifier)

namespace nearfield::tls {
namespace {

static_assert(std::endian::native == std::endian::little && GMP_NUMB_BITS == 64);

// A coordinate or scalar of either curve.
class Number {
 public:
  static constexpr std::size_t kBytes = 32;
  static constexpr std::size_t kLimbs = kBytes / sizeof(mp_limb_t);

  Number() = default;
  Number(const Number&) = delete;
  Number& operator=(const Number&) = delete;
  ~Number() { wipe(std::as_writable_bytes(std::span(limbs_))); }

  // 0, or the library's error: the number has more than 32 bytes.
  int read(const mbedtls_mpi& from) { return mbedtls_mpi_write_binary_le(&from, bytes(), kBytes); }
  int write(mbedtls_mpi& to) const { return mbedtls_mpi_read_binary_le(&to, bytes(), kBytes); }

  unsigned char* bytes() { return reinterpret_cast<unsigned char*>(limbs_.data()); }
  const unsigned char* bytes() const {
    return reinterpret_cast<const unsigned char*>(limbs_.data());
  }
  // The number as GMP's, in `view`, for as long as both live.
  mpz_srcptr read_only(mpz_t view) const { return mpz_roinit_n(view, limbs_.data(), kLimbs); }
  void take(const mpz_t from) {
    limbs_ = {};
    std::copy_n(mpz_limbs_read(from), std::min(mpz_size(from), kLimbs), limbs_.begin());
  }

 private:
  std::array<mp_limb_t, kLimbs> limbs_{};
};

class CurvePoint {
 public:
  CurvePoint() { ecc_point_init(&point_, nettle_get_secp_256r1()); }
  CurvePoint(const CurvePoint&) = delete;
  CurvePoint& operator=(const CurvePoint&) = delete;
  ~CurvePoint() { ecc_point_clear(&point_); }
  ecc_point* get() { return &point_; }

 private:
  ecc_point point_;
};

class CurveScalar {
 public:
  CurveScalar() { ecc_scalar_init(&scalar_, nettle_get_secp_256r1()); }
  CurveScalar(const CurveScalar&) = delete;
  CurveScalar& operator=(const CurveScalar&) = delete;
  ~CurveScalar() { ecc_scalar_clear(&scalar_); }
  ecc_scalar* get() { return &scalar_; }

 private:
  ecc_scalar scalar_;
};

class Integer {
 public:
  Integer() { mpz_init(value_); }
  Integer(const Integer&) = delete;
  Integer& operator=(const Integer&) = delete;
  ~Integer() { mpz_clear(value_); }
  mpz_ptr get() { return value_; }

 private:
  mpz_t value_;
};

int multiply_curve25519(mbedtls_ecp_point& result, const mbedtls_mpi& scalar,
                        const mbedtls_ecp_point& point) {
  Number factor;
  Number x;
  Number product;
  if (const int error = factor.read(scalar); error != 0) return error;
  if (const int error = x.read(point.MBEDTLS_PRIVATE(X)); error != 0) return error;
  curve25519_mul(product.bytes(), factor.bytes(), x.bytes());
  if (const int error = product.write(result.MBEDTLS_PRIVATE(X)); error != 0) return error;
  // As the library has it for a curve of this form: X/Z without Y.
  mbedtls_mpi_free(&result.MBEDTLS_PRIVATE(Y));
  return mbedtls_mpi_lset(&result.MBEDTLS_PRIVATE(Z), 1);
}

bool is_generator(const mbedtls_ecp_group& group, const mbedtls_ecp_point& point) {
  return mbedtls_mpi_cmp_mpi(&point.MBEDTLS_PRIVATE(X), &group.G.MBEDTLS_PRIVATE(X)) == 0 &&
         mbedtls_mpi_cmp_mpi(&point.MBEDTLS_PRIVATE(Y), &group.G.MBEDTLS_PRIVATE(Y)) == 0;
}

int multiply_p256(const mbedtls_ecp_group& group, mbedtls_ecp_point& result,
                  const mbedtls_mpi& scalar, const mbedtls_ecp_point& point) {
  Number factor;
  CurveScalar nettle_factor;
  CurvePoint product;
  mpz_t view;
  if (const int error = factor.read(scalar); error != 0) return error;
  if (ecc_scalar_set(nettle_factor.get(), factor.read_only(view)) == 0)
    return MBEDTLS_ERR_ECP_INVALID_KEY;
  if (is_generator(group, point)) {
    ecc_point_mul_g(product.get(), nettle_factor.get());
  } else {
    Number x;
    Number y;
    CurvePoint nettle_point;
    mpz_t y_view;
    if (const int error = x.read(point.MBEDTLS_PRIVATE(X)); error != 0) return error;
    if (const int error = y.read(point.MBEDTLS_PRIVATE(Y)); error != 0) return error;
    if (ecc_point_set(nettle_point.get(), x.read_only(view), y.read_only(y_view)) == 0)
      return MBEDTLS_ERR_ECP_INVALID_KEY;
    ecc_point_mul(product.get(), nettle_factor.get(), nettle_point.get());
  }
  Integer x;
  Integer y;
  ecc_point_get(product.get(), x.get(), y.get());
  Number coordinate;
  coordinate.take(x.get());
  if (const int error = coordinate.write(result.MBEDTLS_PRIVATE(X)); error != 0) return error;
  coordinate.take(y.get());
  if (const int error = coordinate.write(result.MBEDTLS_PRIVATE(Y)); error != 0) return error;
  return mbedtls_mpi_lset(&result.MBEDTLS_PRIVATE(Z), 1);
}

// nettle 3.10 copies scalars to its stack, of which it uses less than 3.5 KB (measured with a
// painted one). What lies below the caller's frame goes; sanitizers would put the array elsewhere.
[[gnu::noinline, clang::no_sanitize("address")]] void wipe_stack() {
  constexpr std::size_t kMoreThanNettleUses = 8192;
  std::array<std::byte, kMoreThanNettleUses> below;
  wipe(below);
}

// --- memory of GMP ---

void* allocate(std::size_t bytes) {
  void* memory = std::malloc(bytes);
  if (memory == nullptr) std::abort();  // GMP has no way to go on, and does the same
  return memory;
}

void release(void* memory, std::size_t bytes) {
  wipe({static_cast<std::byte*>(memory), bytes});
  std::free(memory);
}

void* reallocate(void* memory, std::size_t old_bytes, std::size_t bytes) {
  void* larger = allocate(bytes);
  std::memcpy(larger, memory, std::min(old_bytes, bytes));
  release(memory, old_bytes);
  return larger;
}

}  // namespace

void wipe_freed_numbers() { mp_set_memory_functions(allocate, reallocate, release); }

}  // namespace nearfield::tls

// NOLINTBEGIN(bugprone-reserved-identifier)
int __wrap_mbedtls_ecp_mul_restartable(mbedtls_ecp_group* group, mbedtls_ecp_point* result,
                                       const mbedtls_mpi* scalar, const mbedtls_ecp_point* point,
                                       RandomFunction* random, void* random_context,
                                       mbedtls_ecp_restart_ctx* restart) {
  const bool is_curve25519 = group->id == MBEDTLS_ECP_DP_CURVE25519;
  if (restart != nullptr || (!is_curve25519 && group->id != MBEDTLS_ECP_DP_SECP256R1)) {
    return __real_mbedtls_ecp_mul_restartable(group, result, scalar, point, random, random_context,
                                              restart);
  }
  // As the library's own begins: a scalar in range, a point on the curve and of no small order.
  if (const int error = mbedtls_ecp_check_privkey(group, scalar); error != 0) return error;
  if (const int error = mbedtls_ecp_check_pubkey(group, point); error != 0) return error;
  const int error = is_curve25519 ? nearfield::tls::multiply_curve25519(*result, *scalar, *point)
                                  : nearfield::tls::multiply_p256(*group, *result, *scalar, *point);
  nearfield::tls::wipe_stack();
  return error;
}

int __wrap_mbedtls_ecp_mul(mbedtls_ecp_group* group, mbedtls_ecp_point* result,
                           const mbedtls_mpi* scalar, const mbedtls_ecp_point* point,
                           RandomFunction* random, void* random_context) {
  return __wrap_mbedtls_ecp_mul_restartable(group, result, scalar, point, random, random_context,
                                            nullptr);
}
// NOLINTEND(bugprone-reserved-identifier)
