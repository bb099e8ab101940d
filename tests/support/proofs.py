"""Passwords as servers store them and as clients prove them, written down from the specifications
with nothing but hashlib: what the tests compare Volvox with.

    mysql_hash(b"secret", salt)                 what caching_sha2_password stores
    ed25519_key(b"secret")                      what MariaDB's ed25519 stores
    ed25519_sign(b"secret", nonce)              what its clients answer

As a program it prints the vectors of tests/unit/protocol/data/secrets.txt.
"""
import base64
import hashlib


def sha1(*parts):
    return hashlib.sha1(b"".join(parts)).digest()


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def sha512(*parts):
    return hashlib.sha512(b"".join(parts)).digest()


def native_hash(password):
    return "*" + sha1(sha1(password)).hex().upper()


# ---- SHA256-crypt (Drepper, "Unix crypt using SHA-256 and SHA-512") -----------------------------

DIGITS = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ORDER = [(0, 10, 20), (21, 1, 11), (12, 22, 2), (3, 13, 23), (24, 4, 14), (15, 25, 5), (6, 16, 26),
         (27, 7, 17), (18, 28, 8), (9, 19, 29)]


def _base64(digest):
    out = []
    for a, b, c in ORDER:
        bits = digest[a] << 16 | digest[b] << 8 | digest[c]
        out += [DIGITS[bits >> 6 * i & 63] for i in range(4)]
    bits = digest[31] << 8 | digest[30]
    return bytes(out + [DIGITS[bits >> 6 * i & 63] for i in range(3)])


def _stretch(digest, length):
    return (digest * (length // 32 + 1))[:length]


def sha_crypt(password, salt, rounds=5000):
    """The 43 characters behind the salt."""
    b = sha256(password, salt, password)
    text = [password, salt, _stretch(b, len(password))]
    n = len(password)
    while n:
        text.append(b if n & 1 else password)
        n >>= 1
    digest = sha256(*text)
    p = _stretch(sha256(password * len(password)), len(password))
    s = _stretch(sha256(salt * (16 + digest[0])), len(salt))
    for i in range(rounds):
        text = [p if i & 1 else digest]
        if i % 3:
            text.append(s)
        if i % 7:
            text.append(p)
        text.append(digest if i & 1 else p)
        digest = sha256(*text)
    return _base64(digest)


def mysql_hash(password, salt, thousands=5):
    """As bytes: the salt may be anything."""
    return b"$A$%03X$" % thousands + salt + sha_crypt(password, salt, 1000 * thousands)


def sha256_hash(password, salt):
    return b"$5$" + salt + b"$" + sha_crypt(password, salt)


def as_hex(stored):
    return "0x" + stored.hex().upper()


# ---- Ed25519 (RFC 8032), with the expanded key that MariaDB makes of a password -------------------

P = 2 ** 255 - 19
L = 2 ** 252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def _add(a, b):
    x1, y1, z1, t1 = a
    x2, y2, z2, t2 = b
    e, f = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    g, h = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    k, m, n, o = f - e, h - g, h + g, f + e
    return k * m % P, n * o % P, m * n % P, k * o % P


def _multiply(scalar, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


def _base_point():
    y = 4 * pow(5, P - 2, P) % P
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    x = P - x if x & 1 else x
    return x, y, 1, x * y % P


BASE_POINT = _base_point()


def _encode(point):
    x, y, z, _ = point
    inverse = pow(z, P - 2, P)
    x, y = x * inverse % P, y * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _number(data):
    return int.from_bytes(data, "little")


def _sign(expanded, message):
    scalar = _number(expanded[:32]) & (1 << 254) - 8 | 1 << 254
    public = _encode(_multiply(scalar, BASE_POINT))
    r = _number(sha512(expanded[32:], message)) % L
    point = _encode(_multiply(r, BASE_POINT))
    challenge = _number(sha512(point, public, message)) % L
    return public, point + ((r + challenge * scalar) % L).to_bytes(32, "little")


def ed25519_key(password):
    """The 43 characters."""
    return base64.b64encode(_sign(sha512(password), b"")[0]).decode().rstrip("=")


def ed25519_sign(password, nonce):
    return _sign(sha512(password), nonce)[1]


# ---- parsec: MariaDB 11.6 and later ------------------------------------------------------------------

def parsec_answer(password, scramble, ext_salt, own_scramble):
    seed = hashlib.pbkdf2_hmac("sha512", password, ext_salt[2:], 1024 << ext_salt[1], 32)
    public, signature = _sign(sha512(seed), scramble + own_scramble)
    return public, own_scramble + signature


# ---- vectors -----------------------------------------------------------------------------------------

PASSWORDS = [b"x", b"secret", b"0123456789abcdef0123456789abcde", b"0123456789abcdef0123456789abcdef",
             b"0123456789abcdef0123456789abcdefg", bytes(range(1, 65)), "pässwörd-€".encode(),
             bytes(range(255, 0, -1)), b"y" * 256]


def print_vectors():
    for number, password in enumerate(PASSWORDS):
        salt = bytes((7 * number + i) % 127 + 1 for i in range(20))
        nonce = sha256(b"nonce", password)
        for kind, stored in [("native", native_hash(password).encode()),
                             ("sha2", mysql_hash(password, salt, 1 + 4 * (number % 3))),
                             ("sha256", sha256_hash(password, salt)),
                             ("ed25519", ed25519_key(password).encode())]:
            print(kind, password.hex(), stored.hex())
        print("signature", password.hex(), nonce.hex(), ed25519_sign(password, nonce).hex())


if __name__ == "__main__":
    print_vectors()
