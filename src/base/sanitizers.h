/*
 * sanitizers.h - is this build one that watches memory or threads?  HAS_ASAN, HAS_TSAN: 1 or 0.
 */
#ifndef BASE_SANITIZERS_H
#define BASE_SANITIZERS_H

/* gcc defines macros, clang has features. */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define HAS_ASAN 1
#else
#define HAS_ASAN 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define HAS_TSAN 1
#else
#define HAS_TSAN 0
#endif

#endif
