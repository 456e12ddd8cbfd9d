/* One daemon at a time uses a directory of an account: its cache, its state. */
#pragma once

#include <glib.h>
#include <stdint.h>

/* A descriptor that holds the claim until it is closed (also by the process's end), or -1. Waits up
 * to `patience_ms` for one that is finishing, and a moment (CLAIM_GRACE_MS at most) for one that
 * may just be about to say so. ERROR_BUSY names the process that has it and its mountpoint.
 * ERROR_IO. */
#define CLAIM_GRACE_MS 1000
int claim_take(const char *dir, const char *mountpoint, int64_t patience_ms, GError **error);
/* Nothing is mounted any more: who comes now waits. */
void claim_finishing(int claim);
