/*
 * shape.c - which capabilities each hop speaks.
 */
#include "protocol/inside.h"

/* What Volvox does by itself in a login, whatever the servers behind can do. */
#define CAPS_OURS                                                                                  \
    (CAP_LONG_PASSWORD | CAP_CONNECT_WITH_DB | CAP_PROTOCOL_41 | CAP_SECURE_CONNECTION |           \
     CAP_RESERVED | CAP_PLUGIN_AUTH | CAP_PLUGIN_AUTH_LENENC | CAP_CONNECT_ATTRS)

uint32_t shape_offer(uint32_t server_caps)
{
    return (server_caps & CAPS_KNOWN) | CAPS_OURS;
}

uint32_t shape_ask(uint32_t server_caps, uint32_t client_caps)
{
    uint32_t wanted = (CAPS_KNOWN & ~CAPS_FIT) | (client_caps & CAPS_FIT);
    return wanted & server_caps;
}

uint32_t compression_caps(unsigned algorithms)
{
    return (algorithms & COMPRESSION_ZLIB ? CAP_COMPRESS : 0) |
           (algorithms & COMPRESSION_ZSTD ? CAP_ZSTD : 0);
}

enum compression compression_agreed(uint32_t caps)
{
    if (caps & CAP_COMPRESS)
        return COMPRESSION_ZLIB;
    return caps & CAP_ZSTD ? COMPRESSION_ZSTD : COMPRESSION_OFF;
}
