/* What a command is made of: between imap_command.c and the session that sends it. */
#pragma once

#include "protocol/imap_command.h"

enum imap_part_kind {
	IMAP_PART_TEXT,	   /* as it is */
	IMAP_PART_LITERAL, /* "{n}", then the bytes */
	IMAP_PART_STREAM,  /* like LITERAL, its bytes read as they can be sent */
	IMAP_PART_DONE, /* a line end, and behind the server's "+", when it is time to end IDLE, the
			   bytes */
};

struct imap_part {
	enum imap_part_kind kind;
	bool secret;
	GString *bytes; /* of a secret: never reallocated, so that wiping it wipes all of it */
	/* STREAM */
	uint64_t len;
	imap_read_fn read;
	void *data;
};

/* IDLE ends with that line. Nothing can be added behind it. */
void imap_command_done(struct imap_command *command);

/* " <base64>" behind AUTHENTICATE (RFC 4959); a secret. */
void imap_command_initial(struct imap_command *command, const char *message);

unsigned imap_command_parts(const struct imap_command *command);
const struct imap_part *imap_command_part(const struct imap_command *command, unsigned i);
