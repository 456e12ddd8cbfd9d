/* Names of directories and messages. Any thread.
 *
 * A folder is shown as the decoded last component of its mailbox name (RFC 3501 section 5.1.3).
 * What a directory entry cannot hold, or what might fool a reader, is %XX per byte, and so is a
 * leading dot, the dot of a final ".eml", and `outbox` at the root (%6Futbox); an empty component
 * is %00. A component that is not canonical modified UTF-7 is shown as its bytes, with '&' as %26
 * or, if it has none, behind "%~": neither occurs in a decoded one. Names over 255 bytes are cut
 * and end in "%~" and a hash of the component. So no two components share a name, but for the hash.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define NAME_MAX_BYTES 255

/* The name of a raw component, as the server spelt it. Free with g_free(). */
char *name_from_raw(const char *raw, bool at_root);
/* The raw component; NULL if no component has this name, or if it is a cut one. Free with g_free().
 */
char *name_to_raw(const char *name, bool at_root);
/* It can only be found by comparing it with what stands there. */
bool name_is_cut(const char *name);

/* Such a name is never a folder's. */
bool name_is_message_like(const char *name);
/* "<uid>.eml" or "<uid>.<label>.eml"; false for anything else. */
bool name_parse_message(const char *name, uint32_t *ret_uid);
/* The name of the message whose parts are under this name: "5.eml" of "5.d", "x.eml" of "x.eml.d";
 * NULL if it is no such name. Free with g_free(). */
char *name_of_whole(const char *name);
/* "<uid>.<label>.eml". Free with g_free(). */
char *name_of_message(uint32_t uid, const char *label);
