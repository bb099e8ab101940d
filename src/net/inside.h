/*
 * inside.h - what the files of net/ share.
 */
#ifndef NET_INSIDE_H
#define NET_INSIDE_H

#include "net/net.h"

/* layer.c: free a stack of layers; NULL is fine. */
void layers_free(struct layer *top);

#endif
