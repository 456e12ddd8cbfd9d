/* One IMAP command under construction: trusted text, and strings that are quoted or sent as
 * literals as they need (RFC 9051 section 4.3). No string can become syntax: NUL is refused when it
 * is added. */
#pragma once

#include "base/buf.h"

struct imap_command;

/* `text` is ours, never a server's: "UID FETCH 5:9 (FLAGS)". No line end. */
struct imap_command *imap_command_new(const char *format, ...) G_GNUC_PRINTF(1, 2);
void imap_command_free(struct imap_command **command);
void imap_command_text(struct imap_command *command, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* A space is not added. Quoted if it is printable ASCII (with '"' and '\' escaped) of at most 256
 * bytes, else a literal. False if it holds NUL. */
bool imap_command_string(struct imap_command *command, const char *bytes, size_t len);
/* A literal of `len` bytes, one a command, that is read piece by piece while it is sent. `read`
 * gives at least one and at most `max` of the bytes from `offset` on; 0 if it cannot. Not called
 * any more when the command was answered. */
typedef size_t (*imap_read_fn)(void *data, uint64_t offset, void *bytes, size_t max);
void imap_command_stream(struct imap_command *command, uint64_t len, imap_read_fn read, void *data);
/* Like imap_command_string(), but shows "..." in traces, and its memory is wiped. */
bool imap_command_secret(struct imap_command *command, const char *bytes, size_t len);
