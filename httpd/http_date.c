/* HTTP's dates, read and written without locale or time zone. */
#include "http_date.h"

#include <stdio.h>
#include <string.h>

static const char MONTHS[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char DAYS[] = "SunMonTueWedThuFriSat";

enum { DAY_SECONDS = 86400 };

/* Days from 1970-01-01 to a day of the Gregorian calendar; years are counted from March, so that
   the leap day comes last. */
static int64_t days_of(int64_t year, int month, int day)
{
    int64_t shifted = month <= 2 ? year - 1 : year;
    int64_t era = shifted / 400, in_era = shifted - era * 400;
    int day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + day_of_year - 719468;
}

static void civil_of(int64_t days, int *year, int *month, int *day)
{
    int64_t era, in_era, year_of_era, day_of_year, shifted_month;
    days += 719468;
    era = days / 146097;
    in_era = days - era * 146097;
    year_of_era = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    day_of_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    shifted_month = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * shifted_month + 2) / 5 + 1);
    *month = (int)(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
    *year = (int)(year_of_era + era * 400 + (*month <= 2));
}

void http_date_format(int64_t seconds, char text[HTTP_DATE_BYTES + 1])
{
    static const int64_t last = 253402300799; /* 9999-12-31 23:59:59 */
    int64_t bounded = seconds < 0 ? 0 : seconds > last ? last : seconds;
    int64_t days = bounded / DAY_SECONDS, rest = bounded % DAY_SECONDS;
    unsigned weekday = (unsigned)((days + 4) % 7), hour = (unsigned)(rest / 3600);
    int year, month, day;
    civil_of(days, &year, &month, &day);
    snprintf(text, HTTP_DATE_BYTES + 1, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT",
             DAYS + 3 * weekday, (unsigned)day % 100u, MONTHS + 3 * (month - 1),
             (unsigned)year % 10000u, hour % 100u, (unsigned)(rest / 60 % 60),
             (unsigned)(rest % 60));
}

struct fields {
    int year, month, day, hour, minute, second;
};

/* Digits at text, exactly count of them (a blank counts as 0 in front, for asctime's day). */
static bool number(const char *text, int count, int *value)
{
    *value = 0;
    for (int i = 0; i < count; i++) {
        if (text[i] == ' ' && i == 0 && count == 2)
            continue;
        if (text[i] < '0' || text[i] > '9')
            return false;
        *value = *value * 10 + (text[i] - '0');
    }
    return true;
}

static bool month_of(const char *text, int *month)
{
    for (*month = 1; *month <= 12; (*month)++)
        if (memcmp(MONTHS + 3 * (*month - 1), text, 3) == 0)
            return true;
    return false;
}

/* "08:49:37" */
static bool clock_of(const char *text, struct fields *fields)
{
    return text[2] == ':' && text[5] == ':' && number(text, 2, &fields->hour) &&
           number(text + 3, 2, &fields->minute) && number(text + 6, 2, &fields->second);
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static bool parse_fixed(const char *text, struct fields *fields)
{
    return memcmp(text + 3, ", ", 2) == 0 && number(text + 5, 2, &fields->day) && text[7] == ' ' &&
           month_of(text + 8, &fields->month) && text[11] == ' ' &&
           number(text + 12, 4, &fields->year) && text[16] == ' ' && clock_of(text + 17, fields) &&
           memcmp(text + 25, " GMT", 4) == 0;
}

/* "Sunday, 06-Nov-94 08:49:37 GMT", from the comma on: 24 bytes */
static bool parse_850(const char *text, int64_t now, struct fields *fields)
{
    int this_year, month, day;
    if (memcmp(text, ", ", 2) != 0 || !number(text + 2, 2, &fields->day) || text[4] != '-' ||
        !month_of(text + 5, &fields->month) || text[8] != '-' ||
        !number(text + 9, 2, &fields->year) || text[11] != ' ' || !clock_of(text + 12, fields) ||
        memcmp(text + 20, " GMT", 4) != 0)
        return false;
    civil_of(now / DAY_SECONDS, &this_year, &month, &day);
    fields->year += this_year / 100 * 100;
    if (fields->year > this_year + 50)
        fields->year -= 100;
    return true;
}

/* "Sun Nov  6 08:49:37 1994" */
static bool parse_asctime(const char *text, struct fields *fields)
{
    return text[3] == ' ' && month_of(text + 4, &fields->month) && text[7] == ' ' &&
           number(text + 8, 2, &fields->day) && text[10] == ' ' && clock_of(text + 11, fields) &&
           text[19] == ' ' && number(text + 20, 4, &fields->year);
}

bool http_date_parse(const char *text, size_t size, int64_t now, int64_t *seconds)
{
    struct fields fields = {0};
    const char *comma = memchr(text, ',', size);
    bool good = false;
    if (size == 29 && comma == text + 3)
        good = parse_fixed(text, &fields);
    else if (comma && size - (size_t)(comma - text) == 24)
        good = parse_850(comma, now, &fields);
    else if (size == 24 && !comma)
        good = parse_asctime(text, &fields);
    if (!good || fields.day < 1 || fields.day > 31 || fields.hour > 23 || fields.minute > 59 ||
        fields.second > 60 || fields.year < 1)
        return false;
    *seconds = days_of(fields.year, fields.month, fields.day) * DAY_SECONDS + fields.hour * 3600 +
               fields.minute * 60 + fields.second;
    return true;
}
