/*
 * timestamp.c - own parsing: strptime follows the locale and curl_getdate() guesses.
 */
#include "s3/wire/timestamp.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void timestamp_format_basic(int64_t time_s, char out[TIMESTAMP_BASIC_SIZE])
{
	time_t time = (time_t)time_s;
	struct tm tm;

	gmtime_r(&time, &tm);
	strftime(out, TIMESTAMP_BASIC_SIZE, "%Y%m%dT%H%M%SZ", &tm);
}

/* Exactly @digits digits at *@text, which moves behind them. */
static bool take_number(const char **text, int digits, int *out)
{
	int value = 0;

	for (int i = 0; i < digits; i++) {
		char c = (*text)[i];
		if (c < '0' || c > '9')
			return false;
		value = value * 10 + (c - '0');
	}
	*text += digits;
	*out = value;
	return true;
}

static bool take_char(const char **text, char c)
{
	if (**text != c)
		return false;
	(*text)++;
	return true;
}

static bool take_clock(const char **text, struct tm *tm)
{
	return take_number(text, 2, &tm->tm_hour) && take_char(text, ':') &&
	       take_number(text, 2, &tm->tm_min) && take_char(text, ':') &&
	       take_number(text, 2, &tm->tm_sec);
}

/* timegm() would carry a 32nd of January over into February: refuse it instead. */
static int to_seconds(struct tm *tm, int64_t *out_s)
{
	struct tm given = *tm;
	time_t time = timegm(tm);

	if (given.tm_sec > 60 || given.tm_mday != tm->tm_mday || given.tm_mon != tm->tm_mon)
		return -EINVAL;
	*out_s = time;
	return 0;
}

/* "Z", "+hh:mm" or nothing, to the end of the text. */
static bool take_zone(const char **text, int *out_offset_s)
{
	int hours, minutes;

	*out_offset_s = 0;
	if (take_char(text, 'Z'))
		return **text == 0;
	if (**text != '+' && **text != '-')
		return **text == 0;
	int sign = **text == '+' ? 1 : -1;
	(*text)++;
	if (!take_number(text, 2, &hours) || !take_char(text, ':') ||
	    !take_number(text, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*out_offset_s = sign * (hours * 3600 + minutes * 60);
	return **text == 0;
}

int timestamp_parse_iso8601(const char *text, int64_t *out_s)
{
	struct tm tm = { 0 };
	int offset_s, year, month;
	int64_t time_s;

	if (!take_number(&text, 4, &year) || !take_char(&text, '-') ||
	    !take_number(&text, 2, &month) || !take_char(&text, '-') ||
	    !take_number(&text, 2, &tm.tm_mday) || !take_char(&text, 'T') ||
	    !take_clock(&text, &tm))
		return -EINVAL;
	if (take_char(&text, '.'))
		text += strspn(text, "0123456789");
	if (!take_zone(&text, &offset_s) || tm.tm_hour > 23 || tm.tm_min > 59)
		return -EINVAL;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	if (to_seconds(&tm, &time_s))
		return -EINVAL;
	*out_s = time_s - offset_s;
	return 0;
}

static bool take_month(const char **text, int *out)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int month = 0; month < 12; month++)
		if (!strncmp(*text, names + (size_t)month * 3, 3)) {
			*text += 3;
			*out = month;
			return true;
		}
	return false;
}

int timestamp_parse_http(const char *text, int64_t *out_s)
{
	struct tm tm = { 0 };
	int year;
	const char *comma = strchr(text, ',');

	if (!comma)
		return -EINVAL;
	text = comma + 1;
	if (!take_char(&text, ' ') || !take_number(&text, 2, &tm.tm_mday) ||
	    !take_char(&text, ' ') || !take_month(&text, &tm.tm_mon) || !take_char(&text, ' ') ||
	    !take_number(&text, 4, &year) || !take_char(&text, ' ') || !take_clock(&text, &tm) ||
	    strcmp(text, " GMT") != 0 || tm.tm_hour > 23 || tm.tm_min > 59)
		return -EINVAL;
	tm.tm_year = year - 1900;
	return to_seconds(&tm, out_s);
}
