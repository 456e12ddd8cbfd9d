/* The statements of the index and its schema. */
#pragma once

#include "cache/index_private.h"

/* "mfs" and a byte that no text file begins with; the version rises with every change of schema. */
#define INDEX_APPLICATION_ID 0x6d667381
#define INDEX_VERSION 4

extern const char index_schema[];
extern const char *const index_sql_text[SQL_STATEMENTS];
