/*
 * shape.c - which capabilities each hop speaks.
 */
#include "protocol/inside.h"

/* What Volvox does by itself in a login, whatever the servers behind can do. */
#define CAPS_OURS                                                                                  \
    (CAP_LONG_PASSWORD | CAP_CONNECT_WITH_DB | CAP_PROTOCOL_41 | CAP_SECURE_CONNECTION |           \
     CAP_RESERVED | CAP_PLUGIN_AUTH | CAP_PLUGIN_AUTH_LENENC | CAP_CONNECT_ATTRS)

uint64_t shape_offer(uint64_t server_caps)
{
    uint64_t known = server_caps != 0 ? server_caps & CAPS_KNOWN : CAPS_KNOWN & ~CAPS_FAMILY;
    return known | CAPS_OURS;
}

uint64_t shape_ask(uint64_t server_caps, uint64_t client_caps)
{
    uint64_t wanted = (CAPS_KNOWN & ~CAPS_FIT) | (client_caps & CAPS_FIT);
    return wanted & server_caps;
}

uint64_t compression_caps(unsigned algorithms)
{
    return (algorithms & COMPRESSION_ZLIB ? CAP_COMPRESS : 0) |
           (algorithms & COMPRESSION_ZSTD ? CAP_ZSTD : 0);
}

enum compression compression_agreed(uint64_t caps)
{
    if (caps & CAP_COMPRESS)
        return COMPRESSION_ZLIB;
    return caps & CAP_ZSTD ? COMPRESSION_ZSTD : COMPRESSION_OFF;
}
