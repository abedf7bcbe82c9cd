// Keys and tokens that the tests of access control verify, made by other implementations: the JWTs
// with jwcrypto 1.5, the CWTs with cbor2 5.6 and cryptography 43, none of which is this project's.
// Times are around 2027-01-15T08:00:00Z (1800000000). The keys are for tests and nothing else.
#pragma once

#include <string_view>

namespace nearfield::access::vectors {

inline constexpr std::string_view kPublicKeyOne =
    R"({"kty": "EC", "use": "sig", "alg": "ES256", "crv": "P-256", "x": "JY2xw3CIrpYWYVf2BHIW-PaTIUhChhPfqnpbY81SNbQ", "y": "qUO-c3Ld1r5lN21SBtRaX-EiZRoPfku0c9n1-ZPC88w", "kid": "one"})";
inline constexpr std::string_view kPrivateKeyOne =
    R"({"kty": "EC", "use": "sig", "alg": "ES256", "crv": "P-256", "x": "JY2xw3CIrpYWYVf2BHIW-PaTIUhChhPfqnpbY81SNbQ", "y": "qUO-c3Ld1r5lN21SBtRaX-EiZRoPfku0c9n1-ZPC88w", "d": "GkMyOoYYshhseOFAK51YG1soNwetdgc6ZyoWxTuOWq8", "kid": "one"})";
inline constexpr std::string_view kPublicKeyTwo =
    R"({"kty": "EC", "use": "sig", "alg": "ES256", "crv": "P-256", "x": "68BcW4vKmKl3Evw58bi88R_PRcLCRs0Z_RDzQEdXdT0", "y": "1aPXp1sL7f3UokS9sKp9KoW64xzbdsBoRrd8AQ1BG04", "kid": "two"})";
inline constexpr std::string_view kSharedKey =
    R"({"kty": "oct", "kid": "shared", "alg": "HS256", "k": "Elv5BFZmuR-5v-70wbzHWzrdrcUcicZRyRATZ0docFQ"})";
inline constexpr std::string_view kSealingKey =
    R"({"kty": "oct", "kid": "f-WbjxBC3dPuI3d24kP2hfvos7Qz688UTi6aB0hN998", "use": "enc", "alg": "A128GCM", "k": "4uFxxV7fhNmrtiah2d1fFg"})";
inline constexpr std::string_view kRfcPublicKey =
    R"({"kty": "EC", "kid": "P5UpOv0eMq1wcxLf7WxIg09JdSYGYFDOWkldueaImf0", "use": "sig", "alg": "ES256", "crv": "P-256", "x": "be807S4O7dzB6I4hTiCUvmxCI6FuxWba1xYBlLSSsZ8", "y": "rOGC4vI69g-WF9AGEVI37sNNwbjIzBxSjLvIL7f3RBA"})";
inline constexpr std::string_view kRfcPrivateKey =
    R"({"kty": "EC", "kid": "P5UpOv0eMq1wcxLf7WxIg09JdSYGYFDOWkldueaImf0", "use": "sig", "alg": "ES256", "crv": "P-256", "x": "be807S4O7dzB6I4hTiCUvmxCI6FuxWba1xYBlLSSsZ8", "y": "rOGC4vI69g-WF9AGEVI37sNNwbjIzBxSjLvIL7f3RBA", "d": "yaowezrCLTU6yIwUL5RQw67cHgvZeMTLVZXjUGb1A1M"})";
inline constexpr std::string_view kPlain =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4Omh"
    "0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIn0._NYp9w6k6OVNx-b8NPa0g53xqzfGiEabt9okqMlIcvv"
    "pf8rMVQiEFnoBYtAa_761PPQk6rF2qyjwzdtZlBG1nQ";
inline constexpr std::string_view kPlainWithoutKid =
    "eyJhbGciOiAiRVMyNTYifQ.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4Omh0dHBzOi8vbXVzaWNcX"
    "C5leGFtcGxlL2FsYnVtcy8xLy4qIn0.EpPHxeELE67AvzHPDP3uAQeUhKIU5il5A5BMkXPEv0zopaEaaItjEapU2PS5H"
    "TmhCmbVaNwbrGyzUa7Ha_RzPw";
inline constexpr std::string_view kPlainKeyTwo =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogInR3byJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4Omh"
    "0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIn0.yOhOEQ9y7B4igdLA5v0qSvdtOa_QcNCV2d3C67UbOpL"
    "n0Uo8r9Jg_330dtSEv7lnoq4QDurAtCyKLa6AWFFQDg";
inline constexpr std::string_view kPlainShared =
    "eyJhbGciOiAiSFMyNTYiLCAia2lkIjogInNoYXJlZCJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V"
    "4Omh0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIn0.miTcxp4HSWGYtRo4rojkEVRq87izHk8JCiIdEyZ"
    "kup0";
inline constexpr std::string_view kNotBefore =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4Omh"
    "0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIiwgIm5iZiI6IDE4MDAwMDAxMDB9.3anLTTasML8-NSa2ri"
    "7ykgkPbuhBNqbeeysxfDdHIsaox7e9OuWMXUgu8EpgqOVSbV5_LPWoQoBqRAYq4_ysvg";
inline constexpr std::string_view kIssued =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDA0MDAwLCAiY2RuaXVjIjogInJlZ2V4Omh"
    "0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIiwgImlhdCI6IDE4MDAwMDA1MDB9.XcK_bsct_aX9l1ps07"
    "nXeAQmJcS74AT-ceA09Dt3PU9FKqFKZOtgjUrgSPg80XV0GVjIdl0LZPd_9eiijF78zw";
inline constexpr std::string_view kNoExpiry =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJjZG5pdWMiOiAicmVnZXg6aHR0cHM6Ly9tdXNpY1xcLmV4YW1"
    "wbGUvYWxidW1zLzEvLioifQ.pchzEGhEBf5mp5ZAVfBL0MMY6RgysB-z2Yx3-5TzRbE2Hyz6UmoS-9iCWWC4s8C9qyLJ"
    "OHp-MX6F6BXI5EhbTw";
inline constexpr std::string_view kIssuedNotBefore =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDA0MDAwLCAiY2RuaXVjIjogInJlZ2V4Omh"
    "0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIiwgImlhdCI6IDE4MDAwMDA2MDAsICJuYmYiOiAxODAwMDA"
    "wNjAwfQ.3BEMQOWVsURgr8ei6MsEcCpk4rSY2sC8-_TVATJaFUqSkVmRGiHXTqLcPr10HeOSuadkkPjJcLKwAIL-2LCD"
    "Aw";
inline constexpr std::string_view kIssuer =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4Omh"
    "0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIiwgImlzcyI6ICJsYWJlbCJ9.zm8evdW63buBFFfAO6DPNL"
    "DBTXHSOHXdmXH5Zj5tpvFcslfjGR5t2-hvmux7qtYBo1TcKShK88XzqrOYZ8XBTA";
inline constexpr std::string_view kAudience =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4Omh"
    "0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIiwgImF1ZCI6IFsiZWRnZSIsICJvdGhlciJdfQ.93SdhZqc"
    "m4WDsKxXAAsFqV6_GhjZc4uoYPYX08IPHeE2OC5kV1ZlTThadoYp_2AqaNkvyDVtoW2whuhWD53zEQ";
inline constexpr std::string_view kAudienceText =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4Omh"
    "0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIiwgImF1ZCI6ICJlZGdlIn0.i5tyNZNolCg47lw29t717N8"
    "GU_yMmksykbaCSWyjH42QTEC6RLS8JTAfEvkBfKEtnHX8h73J2gy690UL0RwMlw";
inline constexpr std::string_view kVersion1 =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4Omh"
    "0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIiwgImNkbml2IjogMX0.Rw0N6bQnyoe-DbaXyzrY6IlV7_H"
    "yjELyyuIj7VWgjOZ5AIx5HTWz2KEqx7uDglr4JDyVxymacqajI6mAuba2Wg";
inline constexpr std::string_view kVersion2 =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4Omh"
    "0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIiwgImNkbml2IjogMn0.LhHkvHCES0grKZGqNDOoYb0Mo2z"
    "pkNVPguBNPej2lpRZr6Dayp6JLpjJ0L6stT-Ny2jeS8wDo02aPv7CgXbACA";
inline constexpr std::string_view kCritical =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4Omh"
    "0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIiwgImNkbmljcml0IjogIngtZnV0dXJlIiwgIngtZnV0dXJ"
    "lIjogMX0.SdFjbyAusoZ1SuWddw_CsDeAIOpQbyA3E6mD5fr1InnxtRH7t50uY5sJ0Djys7HU7c6p6hHqc8YRBOr5uQV"
    "QkA";
inline constexpr std::string_view kCriticalTerritory =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4Omh"
    "0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIiwgImNkbmljcml0IjogInRlcnJpdG9yeSIsICJ0ZXJyaXR"
    "vcnkiOiAiREUifQ.qsTLyJdOb-thgIXU1Bc158poKG-H1sUbQaAsn9RO4MKj0T9hhf1Kq2MORjWsxAkXekc19DDAUQkE"
    "rC50ghVe2A";
inline constexpr std::string_view kTerritories =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4Omh"
    "0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIiwgInRlcnJpdG9yeSI6IFsiREUiLCAiQVQiXX0.bCkpzKx"
    "RvkQRCaAVHWdR0qus_m4wm3Ud8hARkC9I9pLVxv3ikKyVMXJjA0dQwlFMAxkeCK7goX0TrSTZsqyUjQ";
inline constexpr std::string_view kSingleUse =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4Omh"
    "0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIiwgImp0aSI6ICJ0aWNrZXQtMSJ9.JrtP_5VS5hPtb5-efK"
    "csnNrV9WRIC8MWktDIfh5oZf00D4dhjnNjU5tcPkH3WoXG_Dlsb2A4fPSp7EoCTMVUoQ";
inline constexpr std::string_view kHash =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogImhhc2g6c2h"
    "hLTI1NjtadnV4TXhjbmM0QS1SdDE5bmhDeVhKTndKbm5hQmhJeDAzODJGY2dwTGFNIn0.CWxNVd95McJjNLBpnFf0jQn"
    "7S_k4P4Bk9r6WBNS49OuyZ6G8ykPgiQDRBzq2jIOBemn6xKX20TH5rMcKeIZIPQ";
inline constexpr std::string_view kHashOther =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogImhhc2g6c2h"
    "hLTUxMjtwS3ZVUkl4SlZpMkNnUlhST2hfTTZwSl9VclRWUlpLWC1MUS1RdHFKSTR2Qk5pYmtQY3M0M2JDQ1NJa243SkJ"
    "QdENCWFJEbUQ2SVdGRjUxUVZSci1ZZyJ9.pxV9V4tBzYBf4VvwX7cIsClSJo4ioYv0EG5YNW36zrubADPCNmf5kqOv9f"
    "hPEYdO1d-1wtvaGuLVPYhGOKRtjw";
inline constexpr std::string_view kNoContainer =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwfQ.tXOMUhQml-woooQpFyIutfn3"
    "gTx-cdQ3dEtFtuTXcBgaE8KE9KxZRvMi8rqdNleZhvAGJoiF-pjEx0Rc6kPaRA";
inline constexpr std::string_view kUnknownContainer =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogImdsb2I6KiJ"
    "9.e6cac3QOqkMfXKWpMzE5XAaXcbgYQWV030oP78Os7nWMDw5G2gyNnkvYdpT3LLj5vuUEGKwMugqO0EP9rhAqSg";
inline constexpr std::string_view kBadExpression =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4Omh"
    "0dHBzOi8vKC4qIn0.2mM7HUk5rH3PtVA7B87mLbV-ZNFBzDjrvfmkR4lISX4v-KLTH7co3fEhs5f857NRMBcGjopSq9i"
    "RB24HLmjCUg";
inline constexpr std::string_view kLongExpression =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4OmF"
    "hYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWF"
    "hYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWF"
    "hYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWF"
    "hYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWF"
    "hYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWF"
    "hYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWF"
    "hYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWF"
    "hYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWF"
    "hYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWF"
    "hYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWF"
    "hYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWF"
    "hYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWF"
    "hYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWF"
    "hYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWF"
    "hYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWF"
    "hYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhIn0.KoL"
    "VDlAjWZs4L4kAQxabuZ5GPztEWe1RfkNbYVSzAHYUjizDQZbGdnq2RJF5Ez4bOD0s2-7uC4qRVFRo1x4gZg";
inline constexpr std::string_view kClientV4 =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4Omh"
    "0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIiwgImNkbmlpcCI6ICJleUpoYkdjaU9pQWlaR2x5SWl3Z0l"
    "tVnVZeUk2SUNKQk1USTRSME5OSWl3Z0ltdHBaQ0k2SUNKbUxWZGlhbmhDUXpOa1VIVkpNMlF5Tkd0UU1taG1kbTl6TjF"
    "GNk5qZzRWVlJwTm1GQ01HaE9PVGs0SW4wLi5vWnlNZ2pCUnRscWlad1ZwLldSak10djZCQTlzc2tHWnouR3VnOXZCYXB"
    "PaHhwUVc1a0ROcGhZQSJ9.e_0YDxRJPoQq4HPSRQ_mwQEn3Yi3jfahwlGwv223zb6sAG5zhu63V7JXZdiovJy6er1aBO"
    "XLg9SScg7A2WRxog";
inline constexpr std::string_view kClientV6 =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4Omh"
    "0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIiwgImNkbmlpcCI6ICJleUpoYkdjaU9pQWlaR2x5SWl3Z0l"
    "tVnVZeUk2SUNKQk1USTRSME5OSWl3Z0ltdHBaQ0k2SUNKbUxWZGlhbmhDUXpOa1VIVkpNMlF5Tkd0UU1taG1kbTl6TjF"
    "GNk5qZzRWVlJwTm1GQ01HaE9PVGs0SW4wLi5LNTJVQ3VMYVJGZHhOdWJHLllPU2VMa19FMEl2aUtYODgtdy5QQzA3QWl"
    "CRTFuOHdvMVAwbEZKM0hnIn0.rnrunIL_W4gCc4EiTHZjRn4lMe292Lg92LtGZCCyV82A0E7sCQdk69jlk-cmzNZZUre"
    "hx9wuy_zC5ZRqGD2nEw";
inline constexpr std::string_view kClientPlain =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4Omh"
    "0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIiwgImNkbmlpcCI6ICIxOTIuMC4yLjAvMjQifQ.ddhrmCEm"
    "CjRKDcHleju7yQv1RgfeMY-0hsZ7V2fOo6_ay4_rbaPPDRAttlNBIJQ2-IbDQ9KSriIWT4I4K15ATQ";
inline constexpr std::string_view kClientGarbage =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4Omh"
    "0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIiwgImNkbmlpcCI6ICJleUpoYkdjaU9pQWlaR2x5SWl3Z0l"
    "tVnVZeUk2SUNKQk1USTRSME5OSWl3Z0ltdHBaQ0k2SUNKbUxWZGlhbmhDUXpOa1VIVkpNMlF5Tkd0UU1taG1kbTl6TjF"
    "GNk5qZzRWVlJwTm1GQ01HaE9PVGs0SW4wLi55c09TcHdYSWgxZTFVSGV5LmRkZWw1SzRCY2l2d0dneHFKNkUuS0VhX1h"
    "UNkFzSTlPS1QtaTczbUNtUSJ9.7olD9EOfPYOXPYcgiBaJ9aNOLekANIaOaRcfB7y6ESYExGlsdGNFCpvrFkYhcvZimX"
    "iJK2M5STK31AWDiQ0Nhw";
inline constexpr std::string_view kRenew =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAwMDYwLCAiY2RuaXVjIjogInJlZ2V4Omh"
    "0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIiwgImNkbmlldHMiOiA2MCwgImNkbmlzdHQiOiAxLCAiY2R"
    "uaXN0ZCI6IDJ9.mC68lTPs7ORlGIjZRGuo0AMmbEjqt4vdYq2SdCXWpnnRpriFqI7aJzQtjV4D76y_FvlYuxgH2aRV-R"
    "0AwPVETw";
inline constexpr std::string_view kRenewNoSetting =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4Omh"
    "0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIiwgImNkbmlzdHQiOiAxfQ.4myp-_yjAgwGFt0wEIbZheyo"
    "OxipvQZjn9gtmq9oFGeTWymiAqfQIU5yQIdVSiATBqf-jTXkRi3BymtYKthQJQ";
inline constexpr std::string_view kRenewByQuery =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4Omh"
    "0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIiwgImNkbmlldHMiOiA2MCwgImNkbmlzdHQiOiAyfQ.uxNO"
    "BziPz9wlA3nH5QN-KwTWwotRhq51lbdahFyOmD6URiiLpXGnwK9dLRrkaDblqCCJCixc46CCUwB1Me8VQw";
inline constexpr std::string_view kRenewDeep =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4Omh"
    "0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIiwgImNkbmlldHMiOiA2MCwgImNkbmlzdHQiOiAxLCAiY2R"
    "uaXN0ZCI6IDl9.RVAJTIXK5Q2PZ77MzUiXupJyD6JEp3ZTH3sbGZbzrnvOS2RbgX5rZDWw5qvLrUFabBKqaKEc_FOHsF"
    "u6suZSig";
inline constexpr std::string_view kFractionalTimes =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAwMDAwLjUsICJjZG5pdWMiOiAicmVnZXg"
    "6aHR0cHM6Ly9tdXNpY1xcLmV4YW1wbGUvYWxidW1zLzEvLioifQ.8ydDJxkibOckXlzPS3udfqNctnfuYC8pRS67It9E"
    "MbmYaswjlZ-xGyerZwCl5Pr-fMRBfWe08P2wbMhjj7ucOA";
inline constexpr std::string_view kTextExpiry =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAic29vbiIsICJjZG5pdWMiOiAicmVnZXg6aHR0cHM"
    "6Ly9tdXNpY1xcLmV4YW1wbGUvYWxidW1zLzEvLioifQ.2afbP5gLrUT4zEz5u0R1d5_b3XGeFYNMTFoU30455RO4u8r7"
    "6Fj83guyts5M_mpuWn3QLiB_w82aPtKIILWhBA";
inline constexpr std::string_view kNegativeDepth =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4Omh"
    "0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIiwgImNkbmlldHMiOiA2MCwgImNkbmlzdHQiOiAxLCAiY2R"
    "uaXN0ZCI6IC0xfQ.9uihsOu82kQ_ilRkZlOw-Oa4LCgCQvpiTQlEUIhB1Za2YGBsrYFsG8NN_cKdE29Cnv2rYzTJ-lQK"
    "LrgQGTvaDg";
inline constexpr std::string_view kAlgorithmNone =
    "eyJhbGciOiAibm9uZSIsICJraWQiOiAib25lIn0.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4Omh0"
    "dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIn0.";
inline constexpr std::string_view kAlgorithmNoneSigned =
    "eyJhbGciOiAibm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4Omh0dHBzOi8vbXVzaWNcXC5"
    "leGFtcGxlL2FsYnVtcy8xLy4qIn0.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAA";
inline constexpr std::string_view kPublicKeyAsSecret =
    "eyJhbGciOiAiSFMyNTYiLCAia2lkIjogIm9uZSJ9.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4Omh"
    "0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIn0.IheQ9D-g10ZqpJvAL2EQEFx1CDLIf9dM961ofOv-IEw";
inline constexpr std::string_view kUnknownKid =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogInRocmVlIn0.eyJleHAiOiAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4"
    "Omh0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIn0.pvsxgh3uUBzES_C_StbAT5ACg6VjEVx9CZH9bfZI"
    "FJwChRu-ePv5KsLYFR-QaTrRxl3Z5Www7KKlciIsxPG6aA";
inline constexpr std::string_view kCriticalHeader =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogIm9uZSIsICJjcml0IjogWyJiNjQiXSwgImI2NCI6IGZhbHNlfQ.eyJleHAiO"
    "iAxODAwMDAzNjAwLCAiY2RuaXVjIjogInJlZ2V4Omh0dHBzOi8vbXVzaWNcXC5leGFtcGxlL2FsYnVtcy8xLy4qIn0.y"
    "z1-pR7lx-7HR12BSpSK297fWW_LE2fkRnFRjKQ0_PoK-okXlB2BdVABXapWJCLk4RpBSKCZUvBbTZjNuMQaPw";
inline constexpr std::string_view kCatPlain =
    "2D3ShEOhASahBENvbmVYLqMEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS9YQA7KKe-f"
    "kjidehujTg3ZK_H6kZqSOHp9mtA46Xobz722EIe_bA5DcdCCR56OaU7j1Dnqpjqw5ti5wwBBvOqSepM";
inline constexpr std::string_view kCatMac =
    "2D3RhEOhAQWhBEZzaGFyZWRYLqMEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS9YIB0G"
    "WJrnFD2WKw-WJoxN7jCRpSm2nKCsX4DM_Oq0dAs-";
inline constexpr std::string_view kCatUntagged =
    "hEOhASahBENvbmVYLqMEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS9YQKveK6_SlccV"
    "UITiXZ4LlAjYh-HJ1v_CE5zrD7k1CqZafAWNYkz_1Jk7QSlt5M0NIFvt6UDlnYOg7zuB1dGVdaw";
inline constexpr std::string_view kCatCoseTagOnly =
    "0oRDoQEmoQRDb25lWC6jBBprSeAQGQE2ARkBOKIBoQBtbXVzaWMuZXhhbXBsZQOhAWovYWxidW1zLzEvWEBK9xKf_ByS"
    "liEVGCXI4snUbl_u7YttUvPHCPpFy5nr1EaqQRWXKByKH6Bn6b_oqQU3UfITmZS_yesdKjOrAUlQ";
inline constexpr std::string_view kCatWithoutKid =
    "2D3ShEOhASagWC6jBBprSeAQGQE2ARkBOKIBoQBtbXVzaWMuZXhhbXBsZQOhAWovYWxidW1zLzEvWEC29Bkhm-NHZ2kt"
    "RdOcS4vZWTbWq2XoeCGdzUEeBWjUHO3Ow5x54KXbbrfKn7GZazgZdD5yQb_5FoQ4yFdy9VnN";
inline constexpr std::string_view kCatKidProtected =
    "2D3ShEiiASYEQ29uZaBYLqMEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS9YQMbfgOPw"
    "wtstElY5Y4yP-Lnvod-RKvAytjLg-nxcAFGED6TvbD-mx0hl9QuOYqxyliHyi4Q5tf_cz4zr0JOQpRk";
inline constexpr std::string_view kCatCriticalHeader =
    "2D3ShEqjASYCgRhjGGMBoQRDb25lWC6jBBprSeAQGQE2ARkBOKIBoQBtbXVzaWMuZXhhbXBsZQOhAWovYWxidW1zLzEv"
    "WECvyZbPr3XXRrKosvKaum0HKQ4IqpYWqy1NCNDSbkZ30Qn6JP9cPoxjApV21uozi9cR1Iudz0motnamiqql4sqd";
inline constexpr std::string_view kCatPadded =
    "2D3ShEOhASahBENvbmVYLqMEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS9YQMLDc78i"
    "VPsoEW-N02pWhjvfZcsUn9AxSHl2TmC1F4Ha7WhIlFOM9FDxWr4ad3pIW8Sf_Z3X7SrzQTfXBzoF46g=";
inline constexpr std::string_view kCatNotBefore =
    "2D3ShEOhASahBENvbmVYNKQEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8FGmtJ0mRY"
    "QL7hZWTYH3XvFsKsBzZ3iOE51z-u0h6u22p6jYjyr9tp7pqaX7bNkcnUwOom_ScGHTqi33FMqCgJnzIZ2qTI-Xc";
inline constexpr std::string_view kCatIssued =
    "2D3ShEOhASahBENvbmVYOqUEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8GGmtJ0gAF"
    "GmtJ0gBYQICyNc3eh0B5Cel_frN7SV3lel6A9chMH2nuU4VzTJPJMs-NCA5KCesBbccrIOF9Mbey7PYQh2ociXB2a3iB"
    "pHY";
inline constexpr std::string_view kCatNoExpiry =
    "2D3ShEOhASahBENvbmVYKKIZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS9YQFPNsGooQpUUrWYu"
    "Hk6_vlrXOb4oRnLoTnUkqAzD1SFREPlliMg7iu_xX6yaQwjvlKIZoV3tMZcpSsJYa_EDW-c";
inline constexpr std::string_view kCatTaggedTime =
    "2D3ShEOhASahBENvbmVYL6MEwRprSeAQGQE2ARkBOKIBoQBtbXVzaWMuZXhhbXBsZQOhAWovYWxidW1zLzEvWEDelHz3"
    "iaQFMvkGHZ5Kc-mqE9igWn8RTgg4PV5RL6Nih2-AP0789MwJatgqpoQ2nuxMKjoiwYgkUcONbIsJsPmX";
inline constexpr std::string_view kCatFloatTime =
    "2D3ShEOhASahBENvbmVYMqME-0Ha0ngEIAAAGQE2ARkBOKIBoQBtbXVzaWMuZXhhbXBsZQOhAWovYWxidW1zLzEvWEBy"
    "7IMCx6fbbjb6tr5XAMm78QAjQtCLYm7OS_lfL6r-hllKkVe30y5g0vJKNK72pb9cPpbgCnD5BcqKfp-kX_TK";
inline constexpr std::string_view kCatIssuer =
    "2D3ShEOhASahBENvbmVYNaQEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8BZWxhYmVs"
    "WECIU5JfUzdcZAtPrMUACm2hMZz1ydjqWdOrVHmDveC0zu47c_aMFW9ctouYkDhPpHw7ij1jpzhDNRNmPUxltW3p";
inline constexpr std::string_view kCatAudience =
    "2D3ShEOhASahBENvbmVYN6QEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8DgmRlZGdl"
    "YXhYQDHS2TyLJa-ZaesulkPI_tSyJQcevz4mS_NfKx1mJDg4dG1UL2G8_kRfd_o4QTuofveG48W-ltSPRSA32ZBvS6g";
inline constexpr std::string_view kCatVersion2 =
    "2D3ShEOhASahBENvbmVYLqMEGmtJ4BAZATYCGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS9YQMYy-AEk"
    "OTLLr1-pLSK8wgWKuuaRVBcMSzQgtCooHtW_ZqYxUdQoyEmFGVXQKlMGZ_Nis0SUooZDjT-mqVt8knU";
inline constexpr std::string_view kCatNoVersion =
    "2D3ShEOhASahBENvbmVYKqIEGmtJ4BAZATiiAaEAbW11c2ljLmV4YW1wbGUDoQFqL2FsYnVtcy8xL1hAOxM6NH3Y6P6Z"
    "WmkNOESzyqUs35UMAMgrAtuZBDBKzhBsdMZav6FEpZBh1oHcxRsdralU1D6CTnoeXMQ8SNehiw";
inline constexpr std::string_view kCatMethods =
    "2D3ShEOhASahBENvbmVYO6QEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZATmCY0dF"
    "VGRIRUFEWEC7JgQATwVw1npJLv-3DkBKg_gVRGROLCFmjxTREjYGoTuYd8gL8EzNu7jYTfl0sZjzqYfG8-4tNVUNT-3Y"
    "-fQt";
inline constexpr std::string_view kCatMethodsPost =
    "2D3ShEOhASahBENvbmVYN6QEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZATmBZFBP"
    "U1RYQNJgawIMFeEEFy25SDsNUKtp-exN419SNj8jvLGxl8WohQz6wPtlBOfn4VStNMluzWwnt-640EjIILT50KO0L2Q";
inline constexpr std::string_view kCatNetworks =
    "2D3ShEOhASahBENvbmVYRaQEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZATeC2DSC"
    "GBhDwAAC2DaCGCBEIAENuFhAYSoe5OnCak465HPJomeAwbSveZ4Hhzwjtdgkx1D4y6175n8OjC5tjepBcYchGpb0x2_o"
    "PErUzahYD9-iJC9qrQ";
inline constexpr std::string_view kCatAddress =
    "2D3ShEOhASahBENvbmVYOaQEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZATeB2DRE"
    "wAACB1hAPjUuJbAERNglPSs3K8GsAkFe2moqf38cvABfEauyo5c7B_PM9QDNZxE_62Q8ly_pEVzvBknZrqDACp4z7gJ3"
    "cw";
inline constexpr std::string_view kCatNetworkNumber =
    "2D3ShEOhASahBENvbmVYNaQEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZATeBGfv0"
    "WEDOpzOVg-RklRAg-MoxEdtyEwosUvqF9gfTBb4eXKG0BTwXd6jooFk-_j4WPbhC_OOvj2h2gNfSj_jxcGi7aOQC";
inline constexpr std::string_view kCatAnyV6 =
    "2D3ShEOhASahBENvbmVYN6QEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZATeB2DaC"
    "AEBYQIbY8UxIXbKuAw0l6Hk2fiGCkkHtkclFhY6xUEipQsZKAgL84Rt-w5IqJgrbB1x2R-hYtoHDRDOor17qVO2wnE0";
inline constexpr std::string_view kCatTerritory =
    "2D3ShEOhASahBENvbmVYOKQEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZATyCYkRF"
    "YkFUWED2TjnYm7PvtM1ueN3gKGXk8S46wUDdIpeciQSBW23bmayb9Jnh6ffmhp9nS3gggzdWPGgRfWV85amdqFytO-8D";
inline constexpr std::string_view kCatSubdivision =
    "2D3ShEOhASahBENvbmVYOKQEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZATyBZVVT"
    "LU5ZWECJ7VMzqobV4UPDvF8CCfHdSsy4kcs9Qt9Ext6WqYzkIVz2k9iYq8Ic2JfcTqb6wLYh-SSzUms4LASpbe8jCjxD";
inline constexpr std::string_view kCatNoUri =
    "2D3ShEOhASahBENvbmVLogQaa0ngEBkBNgFYQL7CZMRQZWXcBjajJDb13TjEm6YbuzBKJjzjJurFnYYv0ABd_g-1vdoM"
    "tck0lilnck2EcDIz1cykBTaIGVJv4-w";
inline constexpr std::string_view kCatEmptyUri =
    "2D3ShEOhASahBENvbmVPowQaa0ngEBkBNgEZATigWEB43JcvIUyivhjF10PlYMLzogBJYmwwq6cbUM1jwY1Jg5V-ff5o"
    "7_BLZhkaVz4WlHAv-VnIqcpIpZqdoKDHOdni";
inline constexpr std::string_view kCatScheme =
    "2D3ShEOhASahBENvbmVYGKMEGmtJ4BAZATYBGQE4oQChAGVodHRwc1hArKqojIeQZBbSPMvHt5CqJ0KgtkYHDlvgR3qW"
    "3xj5zffix_GsQp9V043ZCt-t4Dup6nUaGbMiIubXXDafH6SCdw";
inline constexpr std::string_view kCatPort =
    "2D3ShEOhASahBENvbmVWowQaa0ngEBkBNgEZATihAqEAYzQ0M1hAVnnOzc2OvMSrQtUWhSSdlaGQfSftdcGqH-KX5oX_"
    "mnTAtMQID4O2SZj5TDijfZGUEglUaZk76cpMB_2ITnH-wQ";
inline constexpr std::string_view kCatPath =
    "2D3ShEOhASahBENvbmVYIqMEGmtJ4BAZATYBGQE4oQOhAG8vYWxidW1zLzEvYS5tNHNYQFqYVE62DHVaXsNzFPRsOYF9"
    "p7nEaa606pJB0PP2G83Eop1EaslVVNyi12WlLaK9GjRHZsWcKh4oBBB9ZOFbajI";
inline constexpr std::string_view kCatQuery =
    "2D3ShEOhASahBENvbmVWowQaa0ngEBkBNgEZATihBKEAY3E9MVhA1fEa0R3eEjOQ0c3TEzFjI9c9iTnChfmfsGk6AiYa"
    "d6hPFBTLg0RK_uolPsLF-xT3hD7LCeLoTVX5beArBlD3og";
inline constexpr std::string_view kCatParent =
    "2D3ShEOhASahBENvbmVYHKMEGmtJ4BAZATYBGQE4oQWhAGkvYWxidW1zLzFYQEFVWpOmD4SLR9AgZ3NkTs0kwuszJ8U_"
    "8eSEOBB3ZZpDkO_nmUdvMi6-FlzzlF8MWss4bopnp3bDLSVQil6BkQc";
inline constexpr std::string_view kCatFilename =
    "2D3ShEOhASahBENvbmVXowQaa0ngEBkBNgEZATihBqECZC5tNHNYQDH2seTAidcMK1POFvaxPUNoj4syfvQ1Pd611xI4"
    "mQm-w4w4DJT_pz5rkkztoZ_ngeMCFSzD-z53HUOEVJjIn6U";
inline constexpr std::string_view kCatStem =
    "2D3ShEOhASahBENvbmVUowQaa0ngEBkBNgEZATihB6EAYWFYQFseOJguNjRlQpKPxZOjwxtvTUayqZUL9EhFltjGbKVt"
    "CFtPRrDpDpZ4E9-ygAq6yZnkwfOsO4RaJNdLlNphWhU";
inline constexpr std::string_view kCatExtension =
    "2D3ShEOhASahBENvbmVXowQaa0ngEBkBNgEZATihCKEAZC5tNHNYQJGJ8kqn700wYT8wOQvPElGX3HMs9UjLksXInMFa"
    "q2eLq8Tevc5mU8InqiGaCV8SFgsKZVQsZ8WhonmefexL2UM";
inline constexpr std::string_view kCatContains =
    "2D3ShEOhASahBENvbmVXowQaa0ngEBkBNgEZATihA6EDZGJ1bXNYQP8FotpC7jZ4Dp8y5vajeKWDgfz0Y6s0EGkjC4eG"
    "0zegvkua3fALoE_CQ5ldweMc-gNxXoIOy_WwFIgK9fq2wGc";
inline constexpr std::string_view kCatExpression =
    "2D3ShEOhASahBENvbmVYJKMEGmtJ4BAZATYBGQE4oQOhBIFwXi9hbGJ1bXMvWzAtOV0rL1hAShEkJjmgbDeNlz0oacSq"
    "44CnGCGn6D8oXo997WUIa7UhHayb5yYmTLtcqe6RmOcvJVpUiB2NSdcwtbxGVQMa_g";
inline constexpr std::string_view kCatExpressionFlag =
    "2D3ShEOhASahBENvbmVYH6MEGmtJ4BAZATYBGQE4oQOhBIJpXi9BTEJVTVMvYWlYQOo7CT7-K3ycU8QsDKjVGkrudQ3Y"
    "FJzqjJgXlK13PD_4UbWhyHPMM1XkAH426MieLhNFTuEZobqGii8jevbRjYk";
inline constexpr std::string_view kCatExpressionFlagUnknown =
    "2D3ShEOhASahBENvbmVYGaMEGmtJ4BAZATYBGQE4oQOhBIJjXi9hYWdYQI2N1YFod93Po5D8CSBr94nbpIKl23OsHM7k"
    "hCUfhqNlHO1C5ov4aGZR4sNVIi37JfQAmPdOUwF4e-nwA9gvPsw";
inline constexpr std::string_view kCatExpressionBad =
    "2D3ShEOhASahBENvbmVWowQaa0ngEBkBNgEZATihA6EEgWIoW1hA7x85VC8y8IZrmeocf4sEZgzphDenCFV1ivJCljGk"
    "f6UGX8Pjtxq8oTylKg_a0t-E8c8ybGXlABs6bW1jNV9L6Q";
inline constexpr std::string_view kCatSha256 =
    "2D3ShEOhASahBENvbmVYNKMEGmtJ4BAZATYBGQE4oQahIFggQPDMVYvlLPWW3ZmxxoebKltx9JXt9ABf_sIaNQU0pVBY"
    "QO7H__3ea7vOHULokk9nd04P_nrwRvvHyLB9LclYBthA7H8BXZSsnynxpfzOoMRnT8brryLdYl4_R3DLM6ZNXoo";
inline constexpr std::string_view kCatSha512 =
    "2D3ShEOhASahBENvbmVYNKMEGmtJ4BAZATYBGQE4oQahIVggiSaF_ZzYsfxjE1wl32FaijaZ_ul3wtqQ_nhTl3bxOxhY"
    "QKsQlhp_D72D1TQV_B3ebf6srvUDzt6azZJY36w6ZjSx4rCt3E42LTDMMxYB487JsvOnAmnyf0xB4ufJICUn9u0";
inline constexpr std::string_view kCatSha256Hex =
    "2D3ShEOhASahBENvbmVYVKMEGmtJ4BAZATYBGQE4oQahIHhANDBmMGNjNTU4YmU1MmNmNTk2ZGQ5OWIxYzY4NzliMmE1"
    "YjcxZjQ5NWVkZjQwMDVmZmVjMjFhMzUwNTM0YTU1MFhAzJE8adQweOKGRNHFss3kNk9w_mtjCT8kDC3uqWV2EUxaqQaa"
    "CKqpA4JQ1PSgyt6urtvAxioX_ovsxe3IWdrIyA";
inline constexpr std::string_view kCatMatchUnknown =
    "2D3ShEOhASahBENvbmVUowQaa0ngEBkBNgEZATihA6EJYXhYQIlB5NaTgt0_sNDJ1OzFAqIFCIJP-rlkmOskF_RBUwoD"
    "THtUiqJzhOYf_wpOioFXVdB5lS3FqxcRMzHZPps4kmw";
inline constexpr std::string_view kCatPartUnknown =
    "2D3ShEOhASahBENvbmVUowQaa0ngEBkBNgEZATihFKEAYXhYQMrh9CaJap-doLNtEJsxn1toid2w5JkWX233hG7AtILM"
    "xYO-ANfmvzE0cobGgrTzm5XjjdhuyqBHJoJFf41CzyI";
inline constexpr std::string_view kCatMatchNotText =
    "2D3ShEOhASahBENvbmVTowQaa0ngEBkBNgEZATihA6EAB1hA96TOvan9JebWS-Wqe3daSbRFLsybPWJZR94o6Fybil9w"
    "Ek9nUXUyiBks5oxXwkOINVoP_h4ADe34SPZBBa4Djw";
inline constexpr std::string_view kCatHeader =
    "2D3ShEOhASahBENvbmVYRaQEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZATuhaFgt"
    "RGV2aWNloQBnc3BlYWtlclhA1K294vv-C8finbNJ5kcn9Vjq6Kl66PTnsmKR0JdwGyMJuZcYKieBoRBNGaEjhsvxoryJ"
    "Svo1Tt9SaVNl-3oFQQ";
inline constexpr std::string_view kCatReplayPermitted =
    "2D3ShEOhASahBENvbmVYMqQEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZATQAWEDc"
    "ji43cl3Vhjmy2ayaKxFUucfJXmQ3FgbEPaDJwU7kRgwrPZn6tk6XVzJR2FYZXv6Ty4G3_Y7RdiaJ4GyA5PnU";
inline constexpr std::string_view kCatReplayOnce =
    "2D3ShEOhASahBENvbmVYN6UEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZATQBB0MB"
    "AgNYQGJ2Pw1DbEiAdZW4Yu15R1CbCjoRotc14i6ypgDo57toMPxIEBfcax0O0Z3pQPb6gIsuSaaj-iyc5DEuyT4Dgbg";
inline constexpr std::string_view kCatReplayDetect =
    "2D3ShEOhASahBENvbmVYNaUEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZATQCB0EB"
    "WEAgUAdcRYIywsXI52LJePbgskSHlBqk_yrxMMcU_JSyzOePFkpMP2zECbwC5P8cV94qop1dMy65215OhjHUO8Qt";
inline constexpr std::string_view kCatReplayNoId =
    "2D3ShEOhASahBENvbmVYMqQEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZATQBWEDj"
    "PccNAmcDvPutbGvV_n6NFj18k3aWSQWmMM7gysfkmB7tj0sNI-HgHNLH5EBrJJ4Jh808PIarRGHIDEAWswh4";
inline constexpr std::string_view kCatRejection =
    "2D3ShEOhASahBENvbmVYO6QEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZATWB-z_g"
    "AAAAAAAAWECAw3mZHstinW9b1KCU6xQSfOSIbuVTG9zcK2e5hSQeHebOGNSho4fkthRXIy4gBZ_1N7ahs1S3y2IDnFKL"
    "bkYk";
inline constexpr std::string_view kCatAlpn =
    "2D3ShEOhASahBENvbmVYNaQEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZATqBQmgy"
    "WEDBPvtrqpyOP7WEuJ2OytsZ136p3xMVuV6Nn_wNuTDtZaAtae-zRFozFIOlNCEjb6AixQ3sMN0xsdrZdYZdqWJ1";
inline constexpr std::string_view kCatCoordinates =
    "2D3ShEOhASahBENvbmVYNqQEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZAT2BgwEC"
    "A1hAnyB1CfWjFlLu14ci3_ALDehFJD2-DWyLaZSgVyT2XbBN9nGGVebNfINzebR_yaNwZLD9tNeE4oOOyiVTx3cJBg";
inline constexpr std::string_view kCatAltitude =
    "2D3ShEOhASahBENvbmVYNKQEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZAT6CAApY"
    "QB-D9aN9IQ-e38lMHjEyeh6ExYg0Uvpw49A3EQe4iH1HeOTgDH_pxuLxXPS5EY4vdhzSXIRz2bWh0EOaY5ThV34";
inline constexpr std::string_view kCatTlsKey =
    "2D3ShEOhASahBENvbmVYU6QEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZAT9YIAEB"
    "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBWEDw1nebwGMusJBto2FxPYXTh5Zyb5sPCgIbWN1l6IxqrJljWTHj"
    "orQW_XtKIOvA1RV-hm18USRHfEax3xgIj0q8";
inline constexpr std::string_view kCatDpop =
    "2D3ShEOhASahBENvbmVYMqQEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZAUGgWECG"
    "u4fIgodPHgt_BAstd14IxflIrWJIZAClN9APjr2p5vX6XMLNzc-zR33Vr7NN6kW_m2Pp-FWIoMqhKBH4jp8t";
inline constexpr std::string_view kCatConfirmation =
    "2D3ShEOhASahBENvbmVYMKQEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8IoFhAWAO3"
    "NhATxt376cNSVPCUOjmXktzhTd4KVNLQdkWyFmKn-kZFAYSXFadG89cOsdrE6naOpsvxabsrJYsG5SomWA";
inline constexpr std::string_view kCatGeohash =
    "2D3ShEOhASahBENvbmVYNaQEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZARpjdTMz"
    "WEDYtieeojzzys9oXIwCSgDiUSRYL9t3LGhPRCW0usKFIdZbc0nsHeIgrDcjVjlw_mppvy3Tv1Y6vsOAUYhP7l_z";
inline constexpr std::string_view kCatFuture =
    "2D3ShEOhASahBENvbmVYMqQEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZAZABWEBE"
    "K3FfzEtMlMzXhgOs8oKgA9ehMstLzHDacqOkTWMvqjbgjQgSN32ENrRyOpTF12EV7PKQ9aQDUdmGWTShpS_7";
inline constexpr std::string_view kCatIf =
    "2D3ShEOhASahBENvbmVYWqgEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZAUKhBIIZ"
    "ATOgGQFAYXgCaGxpc3RlbmVyZG5vdGVncHJpdmF0ZToAARFvAVhAUb0PoQujxBO3wPCOpDlR125YdsihrD4GXFpF31c7"
    "VMZRGAj6HWqb4XU0ViAOk2rM_IVLVTzbiZtUoO8gCGCdNQ";
inline constexpr std::string_view kCatRenewCookie =
    "2D3ShEOhASahBENvbmVYOqQEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZAUOjAAEB"
    "GHgCGB5YQMiDd7bQGzGY2YLE0F0wY2yE7bLFyHDDN1lQJmTQ4n8JKbxQ68KhiFwTAVgiWBvUFoXXT9I8-SDoahkl_3zf"
    "nQA";
inline constexpr std::string_view kCatRenewHeader =
    "2D3ShEOhASahBENvbmVYN6QEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZAUOiAAIB"
    "GHhYQO6blv6PSmkL7JePaLjVpgzfYfoJYC2Use2k9YPT0sYzLYmGuRCRTuHjjdx7hIIBLCRfci_DRxfFW0w_0bnrUco";
inline constexpr std::string_view kCatRenewAutomatic =
    "2D3ShEOhASahBENvbmVYO6QEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZAUOjAAAB"
    "GHgCGQ-gWEAjMIWSDJFnpWTjAHXUBKzRk4rq8uLywc3MksgisCPhyEZOUmZLHHmd600OFfeFgMRmO1ytURDA4SPgvBF0"
    "Zq3W";
inline constexpr std::string_view kCatRenewRedirect =
    "2D3ShEOhASahBENvbmVYO6QEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZAUOjAAMB"
    "GHgCGQ-gWEAgvzhIxAM0p2gJucn_frZW8W76V3RDrCncZMHk2cnug-wmQ6H9g9rCrhXZ1__6vi--qZgAPVbNwNvjNTkv"
    "k78r";
inline constexpr std::string_view kCatRenewAutomaticMac =
    "2D3RhEOhAQWhBEZzaGFyZWRYO6QEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZAUOj"
    "AAABGHgCGQ-gWCBb9dnJqUiLxVye7ZXwcG1_6RT4VggoC1lVek4VVMq2Jg";
inline constexpr std::string_view kCatRenewCookieNamed =
    "2D3ShEOhASahBENvbmVYV6QEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS8ZAUOlAAEB"
    "GHgCGQ-gA2RzZWF0BYJsUGF0aD0vYWxidW1zZlNlY3VyZVhAwWBWenGdI5QSmmkrcurt80tcx7ZX8J_2amjQJvTtDMvG"
    "__6uh39Nn0oV2WFJkCVZ4ThFtTqS2RZJVIG3Z7KYbw";
inline constexpr std::string_view kCatDoubleKey =
    "2D3ShEOhASahBENvbmVNogQaa0ngEAQaa0ngGVhA4xTh7rbaC6oqD_Oz3l9CEdL0TEePhu5arrKNl-67squAI6gZpLpB"
    "GWzn2oUXNiD1Mwph3uhJva02rnTFxBQDwQ";
inline constexpr std::string_view kCatIndefinite =
    "2D3ShEOhASahBENvbmVIvwQaa0ngEP9YQKeqI9YDgAozcy99IVzSzY6MlsxFSPl5fCVksv7nh2F0DiYkFTdAEexaB7en"
    "UWeuMl-4tC9V2ZnUFmF2_dnokE4";
inline constexpr std::string_view kCatDeep =
    "2D3ShEOhASahBENvbmVRoRkBNoGBgYGBgYGBgYGBgQBYQJq8h99e9x6gFe0DLB41po_xozaOnk7W19JKl6nOJIVjUaQX"
    "rRLkcwhu4XWGNvIXz3Wwv32jbhIkGiIDPnQkbCk";
inline constexpr std::string_view kCatMany =
    "2D3ShEOhASahBENvbmVZBiSkBBprSeAQGQE2ARkBOKIBoQBtbXVzaWMuZXhhbXBsZQOhAWovYWxidW1zLzEvGQGQmQJY"
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBgYGRgaGBsYHBgdGB4YHxggGCEYIhgjGCQYJRgmGCcYKBgpGCoYKxgsGC0Y"
    "LhgvGDAYMRgyGDMYNBg1GDYYNxg4GDkYOhg7GDwYPRg-GD8YQBhBGEIYQxhEGEUYRhhHGEgYSRhKGEsYTBhNGE4YTxhQ"
    "GFEYUhhTGFQYVRhWGFcYWBhZGFoYWxhcGF0YXhhfGGAYYRhiGGMYZBhlGGYYZxhoGGkYahhrGGwYbRhuGG8YcBhxGHIY"
    "cxh0GHUYdhh3GHgYeRh6GHsYfBh9GH4YfxiAGIEYghiDGIQYhRiGGIcYiBiJGIoYixiMGI0YjhiPGJAYkRiSGJMYlBiV"
    "GJYYlxiYGJkYmhibGJwYnRieGJ8YoBihGKIYoxikGKUYphinGKgYqRiqGKsYrBitGK4YrxiwGLEYshizGLQYtRi2GLcY"
    "uBi5GLoYuxi8GL0Yvhi_GMAYwRjCGMMYxBjFGMYYxxjIGMkYyhjLGMwYzRjOGM8Y0BjRGNIY0xjUGNUY1hjXGNgY2Rja"
    "GNsY3BjdGN4Y3xjgGOEY4hjjGOQY5RjmGOcY6BjpGOoY6xjsGO0Y7hjvGPAY8RjyGPMY9Bj1GPYY9xj4GPkY-hj7GPwY"
    "_Rj-GP8ZAQAZAQEZAQIZAQMZAQQZAQUZAQYZAQcZAQgZAQkZAQoZAQsZAQwZAQ0ZAQ4ZAQ8ZARAZAREZARIZARMZARQZ"
    "ARUZARYZARcZARgZARkZARoZARsZARwZAR0ZAR4ZAR8ZASAZASEZASIZASMZASQZASUZASYZAScZASgZASkZASoZASsZ"
    "ASwZAS0ZAS4ZAS8ZATAZATEZATIZATMZATQZATUZATYZATcZATgZATkZAToZATsZATwZAT0ZAT4ZAT8ZAUAZAUEZAUIZ"
    "AUMZAUQZAUUZAUYZAUcZAUgZAUkZAUoZAUsZAUwZAU0ZAU4ZAU8ZAVAZAVEZAVIZAVMZAVQZAVUZAVYZAVcZAVgZAVkZ"
    "AVoZAVsZAVwZAV0ZAV4ZAV8ZAWAZAWEZAWIZAWMZAWQZAWUZAWYZAWcZAWgZAWkZAWoZAWsZAWwZAW0ZAW4ZAW8ZAXAZ"
    "AXEZAXIZAXMZAXQZAXUZAXYZAXcZAXgZAXkZAXoZAXsZAXwZAX0ZAX4ZAX8ZAYAZAYEZAYIZAYMZAYQZAYUZAYYZAYcZ"
    "AYgZAYkZAYoZAYsZAYwZAY0ZAY4ZAY8ZAZAZAZEZAZIZAZMZAZQZAZUZAZYZAZcZAZgZAZkZAZoZAZsZAZwZAZ0ZAZ4Z"
    "AZ8ZAaAZAaEZAaIZAaMZAaQZAaUZAaYZAacZAagZAakZAaoZAasZAawZAa0ZAa4ZAa8ZAbAZAbEZAbIZAbMZAbQZAbUZ"
    "AbYZAbcZAbgZAbkZAboZAbsZAbwZAb0ZAb4ZAb8ZAcAZAcEZAcIZAcMZAcQZAcUZAcYZAccZAcgZAckZAcoZAcsZAcwZ"
    "Ac0ZAc4ZAc8ZAdAZAdEZAdIZAdMZAdQZAdUZAdYZAdcZAdgZAdkZAdoZAdsZAdwZAd0ZAd4ZAd8ZAeAZAeEZAeIZAeMZ"
    "AeQZAeUZAeYZAecZAegZAekZAeoZAesZAewZAe0ZAe4ZAe8ZAfAZAfEZAfIZAfMZAfQZAfUZAfYZAfcZAfgZAfkZAfoZ"
    "AfsZAfwZAf0ZAf4ZAf8ZAgAZAgEZAgIZAgMZAgQZAgUZAgYZAgcZAggZAgkZAgoZAgsZAgwZAg0ZAg4ZAg8ZAhAZAhEZ"
    "AhIZAhMZAhQZAhUZAhYZAhcZAhgZAhkZAhoZAhsZAhwZAh0ZAh4ZAh8ZAiAZAiEZAiIZAiMZAiQZAiUZAiYZAicZAigZ"
    "AikZAioZAisZAiwZAi0ZAi4ZAi8ZAjAZAjEZAjIZAjMZAjQZAjUZAjYZAjcZAjgZAjkZAjoZAjsZAjwZAj0ZAj4ZAj8Z"
    "AkAZAkEZAkIZAkMZAkQZAkUZAkYZAkcZAkgZAkkZAkoZAksZAkwZAk0ZAk4ZAk8ZAlAZAlEZAlIZAlMZAlQZAlUZAlYZ"
    "AldYQNPmxduYCXKKm-u4r6bvoK2t8VWiuF-ydZIBopLK-5f-1kxZm4wdyFp3xRupv-OzziXmF773EUMo2O8ou0pfAv8";
inline constexpr std::string_view kCatSignatureAsMac =
    "2D3RhEOhAQWhBENvbmVYLqMEGmtJ4BAZATYBGQE4ogGhAG1tdXNpYy5leGFtcGxlA6EBai9hbGJ1bXMvMS9YIB0GWJrn"
    "FD2WKw-WJoxN7jCRpSm2nKCsX4DM_Oq0dAs-";

}  // namespace nearfield::access::vectors
