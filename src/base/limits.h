/* Every cap on what a server may make us hold, in one place. Sizes in bytes. */
#pragma once

#define LIMIT_GREETING_LINE (8 * 1024)	 /* the first line of a connection */
#define LIMIT_PREAUTH_LINE (16 * 1024)	 /* any line before login */
#define LIMIT_LINE (1024 * 1024)	 /* a response without its literals: SEARCH, VANISHED */
#define LIMIT_INLINE_LITERAL (64 * 1024) /* a literal held in memory */
#define LIMIT_RESPONSE (2 * 1024 * 1024) /* a response with its inline literals */
#define LIMIT_NESTING 32		 /* parentheses */
#define LIMIT_TOKENS 100000		 /* a response */
#define LIMIT_MAILBOX_NAME 1000
#define LIMIT_FOLDERS 100000 /* lines of LIST */
#define LIMIT_FOLDER_DEPTH 64
#define LIMIT_MESSAGES 2000000 /* a folder */
#define LIMIT_MESSAGE_SIZE (256ull * 1024 * 1024)
#define LIMIT_GATHERED (4 * 1024 * 1024) /* of messages under way, in memory */
#define LIMIT_KEYWORDS 64		 /* flags beyond the system ones, a message */
#define LIMIT_KEYWORD 255		 /* the name of one */
#define LIMIT_CAPABILITIES 512
#define LIMIT_INFLATE_RATIO 1000 /* of a compressed stream, once it is longer than */
#define LIMIT_INFLATE_BYTES (64ull * 1024 * 1024)
#define LIMIT_FOUND 20000	   /* messages looked at in search of one */
#define LIMIT_IDENTITY_VALUE 1000  /* of a header field that is compared */
#define LIMIT_SMTP_LINE (4 * 1024) /* of a reply */
#define LIMIT_SMTP_LINES 200	   /* of one reply */
#define LIMIT_POP3_LINE (4 * 1024) /* a reply, or a line of a listing */
#define LIMIT_POP3_UID 1000
#define LIMIT_POP3_UIDS (256ull * 1024 * 1024) /* of a maildrop, together */
#define LIMIT_LOGIN_DELAY_S 3600 /* that a server may ask for between two logins */
#define LIMIT_SECRET (16 * 1024)
#define LIMIT_SASL (12 * 1024)	 /* one message of a login, as it stands in its line */
#define LIMIT_LOG_RING (1024 * 1024)
#define LIMIT_CONNECT_MS 30000	      /* TCP, TLS, greeting: each */
#define LIMIT_CONNECT_SHARE_MS 10000  /* TCP to one of several addresses */
#define LIMIT_ADDRESSES 16	      /* of a host */
#define LIMIT_JOB_MS (15 * 60 * 1000) /* a job that drips */
#define LIMIT_UPLOAD_BYTES_MS 10      /* an upload may be as slow as this beyond it */
#define LIMIT_HEADER (1024 * 1024)    /* of a message that is to be sent */
#define LIMIT_RECIPIENTS 10000	      /* the same */
#define LIMIT_TEXT_LINE 998	      /* the same, without its end: RFC 5321 section 4.5.3.1.6 */
#define LIMIT_ENVELOPE (1024 * 1024)  /* of a file that says who gets a mail */
#define LIMIT_QUEUE 100000	      /* files of the outbox */
