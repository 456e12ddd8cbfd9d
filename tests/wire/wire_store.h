/* Transcripts of an IMAP store (src/store/store.h): what its jobs send, and which facts come out.
 * Tags are "wire1", "wire2"... Time stands still.
 *
 *   ! list   ! quota   ! probe   ! status A "B c"      jobs, numbered from 1; strings are quoted
 *   ! refresh A uidvalidity=7 uidnext=10 modseq=5 messages=9 verify     what is not known: left out
 *   ! body A uidvalidity=7 uid=5 hint=20 origin=0 window=9 more=12
 *   ! body A uidvalidity=7 5=20 6=30    a batch
 *   ! watch A   ! watch ( A "B c"       one; several
 *   ! rights A uidvalidity=7   ! measure A uidvalidity=7 uid=5 hint=90   changes: with a folder
 * each ! flags A uidvalidity=7 uids=1:5,9 set=\Seen,$Junk clear=\Flagged ! expunge A uidvalidity=7
 * uids=1000*20:3      so many from 20 on, every third ! move A uidvalidity=7 uids=5 to B copy
 * likewise ! find A uidvalidity=7 uidnext=5              or uids= ! append A date=0 set=\Seen body
 * "text" len=9         len: other than there is ! mark A   ! create A   ! rename A to B separator=/
 * delete, leave likewise ! not list            the store must not accept it now ! clock +1000 time
 * goes on by so many ms ! refuse begin        the sink does not take the next of its kind; data and
 * end likewise ! hangup              the server closes the connection ! close               the
 * engine does
 *
 *   ! expect FACT         as in wire_facts.h, in the order of arrival; all must be expected
 *   ! expect dead TIMEOUT no answer ...        the connection ended; its jobs are done next
 *   ! expect ready   ! expect not ready
 *   ! expect came 5       so much of the body that came last may be read, before it is told complete
 *   ! expect abilities change,move,expunge append=90
 *
 * Of a maildrop, where 1 is the UIDVALIDITY:
 *
 *   ! known UIDL 20 "Subject: x\r\n"     on record from before: size (or -) and header (or none)
 *   ! lose 1               the index does, from what is on record
 *   ! connect              another session   ! finish
 *   ! starttls             another session, with STLS before all   ! expect tls   it begins
 *   ! reconnected          the store itself connected again, behind a hangup
 *   ! expect left          the session ended without an error
 *   ! expect uidls 1=a/20/h 2=b/-          on record: UIDL, size, and whether its header is
 *   ! expect rest 60000    that the session that ended asks for
 */
#pragma once

#include "wire_play.h"

extern const struct wire_driver wire_store;
extern const struct wire_driver wire_pop3_store;
