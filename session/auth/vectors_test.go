package auth

import (
	"encoding/json"
	"errors"
	"testing"
	"time"
)

// The examples of RFC 7515 appendix A.1-A.3 (whose payload has no sub, and expired in
// 2011) and of RFC 8037 appendix A.4 (whose payload is not JSON).
const (
	joe     = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
	a1Key   = `{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}`
	a1Token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + joe + ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	a2Key   = `{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}`
	a2Token = "eyJhbGciOiJSUzI1NiJ9." + joe + ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
	a3Key   = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	a3Token = "eyJhbGciOiJFUzI1NiJ9." + joe + ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
	edKey   = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	edToken = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)

func TestRFCVectors(t *testing.T) {
	for _, c := range []struct{ name, key, token string }{
		{"RFC 7515 A.1 HS256", a1Key, a1Token},
		{"RFC 7515 A.2 RS256", a2Key, a2Token},
		{"RFC 7515 A.3 ES256", a3Key, a3Token},
		{"RFC 8037 A.4 EdDSA", edKey, edToken},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := open(t, []byte(c.key), nil)
			for _, bad := range []bool{false, true} {
				token := c.token
				if bad {
					token = flip(token, -8)
				}
				s := newScratch(f.cfg.TokenBytesMax)
				parsed, keys, err := f.Verifier.open(f.ring.Load(), s, []byte(token))
				if err != nil {
					t.Fatal(err)
				}
				if signed(s, &parsed, keys) == bad {
					t.Fatalf("signature changed: %v, yet signed says %v", bad, !bad)
				}
			}
		})
	}
}

// TestRFCPayload: the payload of RFC 7515 is read as it is, line breaks and all.
func TestRFCPayload(t *testing.T) {
	f := open(t, []byte(a1Key), nil)
	if _, err := f.ask(a1Token, noon); !errors.Is(err, ErrMalformed) || err.Error() != "token malformed: payload: sub is missing" {
		t.Fatalf("error is %v", err)
	}
	raw, err := base64url.DecodeString(joe)
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	claims["sub"] = "joe"
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	p, err := f.readPayload(text)
	if err != nil || p.expMS != 1300819380000 {
		t.Fatalf("%+v, %v", p, err)
	}
	for at, want := range map[int64]error{1300819381: nil, 1300819382: ErrExpired} {
		if err := f.checkTimes(p.expMS+f.leewayMS, p.nbfMS, time.Unix(at, 0)); !errors.Is(err, want) {
			t.Errorf("at %d: error is %v, want %v", at, err, want)
		}
	}
}
