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
/* Like imap_command_string(), but shows "..." in traces, and its memory is wiped. */
bool imap_command_secret(struct imap_command *command, const char *bytes, size_t len);
