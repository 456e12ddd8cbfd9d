/* The words of an IMAP response that lies whole in memory (RFC 9051 section 9), read leniently: any
 * number of spaces, none where a bracket or a quote already parts two words, any byte in atoms. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum imap_token_kind {
	IMAP_TOKEN_END,
	IMAP_TOKEN_ATOM,
	IMAP_TOKEN_STRING, /* quoted, or a literal */
	IMAP_TOKEN_BODY,   /* a literal that the frame handed out: only its size is here */
	IMAP_TOKEN_OPEN,
	IMAP_TOKEN_CLOSE,
	IMAP_TOKEN_BAD,
};

struct imap_token {
	enum imap_token_kind kind;
	const char *text; /* points into the response */
	size_t len;
	bool escaped;  /* quoted, with backslashes to take out */
	uint64_t size; /* IMAP_TOKEN_BODY */
};

struct imap_cursor {
	const char *at;
	const char *end;
	const char *line; /* behind the last literal: where the line at hand starts */
	bool fetch;	  /* body literals are elsewhere */
	bool over_limit;  /* why a token was bad */
	unsigned tokens;
};

void imap_cursor_init(struct imap_cursor *cursor, const char *text, size_t len);
/* Skips spaces; the next byte, or 0 at the end. */
char imap_cursor_peek(struct imap_cursor *cursor);
/* Letters only; may be empty. */
struct imap_token imap_cursor_word(struct imap_cursor *cursor);

enum imap_token_kind imap_token_next(struct imap_cursor *cursor, struct imap_token *ret);
/* Skips what `token` begins: a list up to its end. False if it is bad or holds a body. */
bool imap_token_skip(struct imap_cursor *cursor, const struct imap_token *token);
/* A mailbox name; an atom goes up to the next space. */
bool imap_token_astring(struct imap_cursor *cursor, struct imap_token *ret);

/* Atoms and strings alike. */
bool imap_token_is(const struct imap_token *token, const char *upper);
/* "\\Seen" in quotes is \Seen too. */
bool imap_token_is_flag(const struct imap_token *token, const char *upper);
bool imap_token_is_nil(const struct imap_token *token);
bool imap_token_number(const struct imap_token *token, uint64_t *ret);
/* The bytes, unescaped, with a NUL behind them. Free with g_free(). */
char *imap_token_dup(const struct imap_token *token, size_t *ret_len);

/* What stages one and two must see alike. `end` is the end of the line, without its line end. */

/* "{n}", "{n+}" or "~{n}" that ends the line where a word may begin. `*ret_at` is its first byte. A
 * number beyond 64 bits is UINT64_MAX. Does not look at quotes. */
bool imap_literal_find(const char *line, const char *end, const char **ret_at, uint64_t *ret_size);
/* It follows "BODY[]" or "BODY[]<n>". */
bool imap_literal_is_body(const char *line, const char *at);
/* How many bytes of one of `size` that is no body lie in the response. */
size_t imap_literal_kept(uint64_t size);
/* "* 5 FETCH" */
bool imap_literal_in_fetch(const char *text, size_t len);
