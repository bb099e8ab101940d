/*
 * fuzz_address.c - any text as an address: what is taken is printed and read back as the same.
 *
 * The first two bytes are the port to take if the text has none.
 */
#include "net/net.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct address a, again;
    struct fault why = FAULT_NONE;
    char text[ADDRESS_TEXT_BYTES], host[ADDRESS_TEXT_BYTES];
    if (size < 2)
        return 0;
    uint16_t port = (uint16_t)(data[0] | data[1] << 8);
    char *exact = malloc(size - 2 > 0 ? size - 2 : 1);
    must(exact != NULL);
    memcpy(exact, data + 2, size - 2);
    bool is_address = address_parse(bytes_of(exact, size - 2), port, &a, &why);
    free(exact);
    if (!is_address) {
        must(why.blame == BLAME_OURS && why.text[0] != '\0');
        return 0;
    }
    must(a.len > 0 && a.len <= sizeof a.un);
    address_print(&a, true, text);
    address_print(&a, false, host);
    must(strlen(text) < ADDRESS_TEXT_BYTES && host[0] != '\0');
    must(address_parse(bytes_str(text), 0, &again, &why));
    must(address_equal(&a, &again) && address_equal(&again, &a));
    return 0;
}
