/* Transcripts of an IMAP session. Settings come first:
 *
 *   ! user NAME   ! password TEXT (escapes)   ! tls required|active|off   ! tag PREFIX
 *
 * Then:
 *
 *   ! send [alone] UID FETCH 1 (FLAGS)   $"text" is a string, $$"text" a secret one,
 *                                        $~"text" a stream, $~!"text" one that ends too early
 *   ! then [alone] ...                   sent from within the answer to the next command
 *   ! idle   ! idle-end                  IDLE, numbered as commands are
 *   ! tls-done   ! logout   ! free (ends the session)
 *
 *   ! expect state READY
 *   ! expect error AUTH login refused: no     the whole message
 *   ! expect untagged FETCH uid=5             in the order of arrival; all must be expected
 *   ! expect done 1 OK                        first command sent: OK, NO, BAD or gone
 *   ! expect cap QRESYNC   ! expect no cap QRESYNC   ! expect caps WORDS   ! expect qresync
 *   ! expect in flight 2   ! expect idle   ! expect no idle
 *   ! expect trace C: a1 LOGIN "alice" ...    some line of the trace
 *
 * That no line of the trace holds the password is checked always.
 */
#pragma once

#include "wire_play.h"

extern const struct wire_driver wire_imap;
