/* What a store reports, as text, one line a fact:
 *
 *   folder "a b" "/" Noselect,Sent        or NIL for the separator
 *   status A uidvalidity=7 messages=3 uidnext=10 modseq=5        (opened: the same)
 *   message A uid=5 size=90 date=0 flags=\Seen,$Junk subject=" x\r\n"       or subject=NIL
 *   flags A uid=5 flags=\Seen   gone A 3:4   present A 1:9 upto=9   changed A
 *   refreshed A uidnext=10 modseq=5 messages=3        messages=moved if they did
 *   quota used=1024 limit=2048 messages=3 limit=10
 *   begin 1 uid=5   data 1 uid=5 offset=0 "bytes"   end 1 uid=5 len=5     or: len=5 complete
 *   rights A read-only may=insert,drop flags=\Seen,$Junk                 or may=all
 *   found 1 uid=5 size=90 date=0 "Subject:x\n"
 *   result 1 sent honest uidvalidity=7 uidnext=9 uid=8 5=8 6=9   what there is, before it is done
 *   done 1          done 1 GONE the message of the error
 *
 * Jobs by their number. Consecutive data is one fact.
 */
#pragma once

#include "store/store.h"
#include "wire_play.h"

enum wire_refusal { WIRE_REFUSE_NOTHING, WIRE_REFUSE_BEGIN, WIRE_REFUSE_DATA, WIRE_REFUSE_END };

struct wire_facts {
	struct wire_play *play;
	GPtrArray *folders; /* of char *, as shown; number n is at n - 1 */
	GQueue lines;	    /* of char *, not expected yet */
	unsigned jobs;	    /* given to the store and not come back; their number is in `epoch` */
	char *server;	    /* an address that differs from run to run */
	uint64_t validity;  /* a UIDVALIDITY that is told as 1; 0: none */

	enum wire_refusal refuse; /* the next of its kind */
	uint64_t came;		  /* of the body that came last */
	GString *data;		  /* no line yet: more may follow; NULL: none */
	unsigned data_job;
	uint32_t data_uid;
	uint64_t data_offset;
};

void wire_facts_init(struct wire_facts *facts, struct wire_play *play);
void wire_facts_clear(struct wire_facts *facts);
/* The number of a folder; new ones get the next. */
uint32_t wire_facts_folder(struct wire_facts *facts, const char *name);
void wire_facts_add(struct wire_facts *facts, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Makes a line of the data that came last. To be called before `lines` is read. */
void wire_facts_flush(struct wire_facts *facts);
/* "GONE it is gone"; free with g_free(). */
char *wire_facts_error(const struct wire_facts *facts, const GError *error);

/* Its data is the struct wire_facts. */
extern const struct store_sink wire_facts_sink;
