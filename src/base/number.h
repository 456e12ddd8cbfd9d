/* The one place where digits become numbers. Strict: ASCII digits only, at least one, no sign, no
 * space, no overflow. `ret` is untouched on failure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool number_parse_u32(const char *text, size_t len, uint32_t *ret);
bool number_parse_u64(const char *text, size_t len, uint64_t *ret);
/* Up to eight digits, upper or lower case, without "0x". */
bool number_parse_hex_u32(const char *text, size_t len, uint32_t *ret);
/* "300", "64k", "1G": powers of 1024. For options. */
bool number_parse_size(const char *text, uint64_t *ret_bytes);
/* "30", "30s", "5m", "1h". For options. */
bool number_parse_seconds(const char *text, uint32_t *ret_s);
