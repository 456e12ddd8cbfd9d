#include "base/number.h"

#include <glib.h>
#include <string.h>

static void test_u32(void)
{
	uint32_t value = 7;

	g_assert_true(number_parse_u32("4294967294", 10, &value));
	g_assert_cmpuint(value, ==, UINT32_MAX - 1);
	g_assert_true(number_parse_u32("4294967295", 10, &value));
	g_assert_cmpuint(value, ==, UINT32_MAX);
	value = 7;
	g_assert_false(number_parse_u32("4294967296", 10, &value));
	g_assert_false(number_parse_u32("99999999999999999999999", 23, &value));
	g_assert_cmpuint(value, ==, 7);
	g_assert_true(number_parse_u32("123456", 3, &value));
	g_assert_cmpuint(value, ==, 123);
	g_assert_true(number_parse_u32("0000000000000000000000005", 25, &value));
	g_assert_cmpuint(value, ==, 5);
}

static void test_u64(void)
{
	uint64_t value = 7;

	g_assert_true(number_parse_u64("18446744073709551615", 20, &value));
	g_assert_cmpuint(value, ==, UINT64_MAX);
	value = 7;
	g_assert_false(number_parse_u64("18446744073709551616", 20, &value));
	g_assert_false(number_parse_u64("18446744073709551620", 20, &value));
	g_assert_cmpuint(value, ==, 7);
}

static void test_hostile(void)
{
	static const char *const bad[] = {"",	   " ",	  "+1",	 "-1",	" 1",  "1 ",
					  "0x1",   "1e3", "1.0", "\t1", "1\n", "\xd9\xa1",
					  "1\xff", "a",	  "/",	 ":"};
	uint64_t value = 7;
	uint32_t small = 7;

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_assert_false(number_parse_u64(bad[i], strlen(bad[i]), &value));
		g_assert_false(number_parse_u32(bad[i], strlen(bad[i]), &small));
		g_assert_false(number_parse_size(bad[i], &value));
		g_assert_false(number_parse_seconds(bad[i], &small));
	}
	g_assert_false(number_parse_u64("1\0002", 3, &value));
	g_assert_cmpuint(value, ==, 7);
	g_assert_cmpuint(small, ==, 7);
}

static void test_hex(void)
{
	static const char *const bad[] = {"",  " ",  "0x1", "-1",	 "+1",
					  "g", "1g", " 1",  "123456789", "000000001"};
	uint32_t value = 7;

	g_assert_true(number_parse_hex_u32("ffFFffFF", 8, &value));
	g_assert_cmpuint(value, ==, UINT32_MAX);
	g_assert_true(number_parse_hex_u32("1a2", 2, &value));
	g_assert_cmpuint(value, ==, 0x1a);
	value = 7;
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_false(number_parse_hex_u32(bad[i], strlen(bad[i]), &value));
	g_assert_cmpuint(value, ==, 7);
}

static void test_size(void)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = {
		{"0", 0},
		{"300", 300},
		{"64k", 65536},
		{"64K", 65536},
		{"3m", 3 * 1024 * 1024},
		{"1G", 1024 * 1024 * 1024},
		{"2T", 2ull << 40},
		{"16777215T", 16777215ull << 40},
	};
	static const char *const bad[] = {"k", "1kk", "1kB", "1 k", "16777216T", "1P", "k1"};
	uint64_t value = 7;

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_assert_true(number_parse_size(cases[i].text, &value));
		g_assert_cmpuint(value, ==, cases[i].bytes);
	}
	value = 7;
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_false(number_parse_size(bad[i], &value));
	g_assert_cmpuint(value, ==, 7);
}

static void test_seconds(void)
{
	static const struct {
		const char *text;
		uint32_t seconds;
	} cases[] = {
		{"30", 30}, {"30s", 30}, {"5m", 300}, {"1h", 3600}, {"4294967295", UINT32_MAX}};
	static const char *const bad[] = {"s", "1d", "4294967296", "1193047h", "1m30s", "5M"};
	uint32_t value = 7;

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_assert_true(number_parse_seconds(cases[i].text, &value));
		g_assert_cmpuint(value, ==, cases[i].seconds);
	}
	value = 7;
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_false(number_parse_seconds(bad[i], &value));
	g_assert_cmpuint(value, ==, 7);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/number/u32", test_u32);
	g_test_add_func("/number/u64", test_u64);
	g_test_add_func("/number/hostile", test_hostile);
	g_test_add_func("/number/hex", test_hex);
	g_test_add_func("/number/size", test_size);
	g_test_add_func("/number/seconds", test_seconds);
	return g_test_run();
}
