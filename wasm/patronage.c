/* Splits a surplus among a cooperative's members by the hours they worked.
 *
 * Reads `surplus N`, then one `name hours` a line; writes one `name credits` a line, in the order
 * it read. Each member gets the whole part of their share; what is left goes, one each, to the
 * largest remainders, ties to who comes first. So the credits add up to exactly the surplus.
 *
 * Exit 2: the input is not of this shape; a figure is above two thousand million; nobody worked;
 * there are more than 1,000 members.
 */
#include "text.h"

enum { MEMBERS_MAX = 1000, INPUT_MAX = 65536, BAD_INPUT = 2 };
static const uint64_t FIGURE_MAX = 2000000000;

struct member {
    const char *name;
    long name_length;
    uint64_t hours, credits, remainder;
    int topped_up;
};

static char input[INPUT_MAX];
static char output[INPUT_MAX + 24 * MEMBERS_MAX];
static struct member members[MEMBERS_MAX];

/* Reads `word number\n` at *at and moves *at behind it. Returns 0, or -1 if it is not there. */
static int read_line(const char **at, const char *end, struct member *found) {
    const char *cursor = *at;
    found->name = cursor;
    while (cursor < end && *cursor != ' ' && *cursor != '\n') cursor++;
    found->name_length = cursor - found->name;
    if (found->name_length == 0 || cursor == end || *cursor++ != ' ') return -1;
    const char *digits = cursor;
    for (found->hours = 0; cursor < end && *cursor >= '0' && *cursor <= '9'; cursor++) {
        found->hours = found->hours * 10 + (uint64_t)(*cursor - '0');
        if (found->hours > FIGURE_MAX) return -1;
    }
    if (cursor == digits || cursor == end || *cursor++ != '\n') return -1;
    *at = cursor;
    return 0;
}

/* Is this line `surplus N`? */
static int is_surplus(const struct member *line) {
    static const char word[] = "surplus";
    if (line->name_length != sizeof word - 1) return 0;
    for (long i = 0; i < line->name_length; i++)
        if (line->name[i] != word[i]) return 0;
    return 1;
}

/* Gives every member the whole part of their share, then one more to the largest remainders. */
static void split(uint64_t surplus, uint64_t total, long count) {
    uint64_t left = surplus;
    for (long i = 0; i < count; i++) {
        uint64_t share = surplus * members[i].hours;
        members[i].credits = share / total;
        members[i].remainder = share % total;
        left -= members[i].credits;
    }
    for (; left > 0; left--) {
        struct member *next = 0;
        for (long i = 0; i < count; i++) {
            struct member *candidate = &members[i];
            if (!candidate->topped_up && (!next || candidate->remainder > next->remainder))
                next = candidate;
        }
        next->topped_up = 1;
        next->credits++;
    }
}

int main(void) {
    long size = read_all(input, INPUT_MAX);
    if (size < 0) return BAD_INPUT;
    const char *at = input, *end = input + size;
    struct member first;
    if (read_line(&at, end, &first) < 0 || !is_surplus(&first)) return BAD_INPUT;
    long count = 0;
    uint64_t total = 0;
    for (; at < end; count++) {
        if (count == MEMBERS_MAX || read_line(&at, end, &members[count]) < 0) return BAD_INPUT;
        total += members[count].hours;
    }
    if (total == 0) return BAD_INPUT;
    split(first.hours, total, count);
    long written = 0;
    for (long i = 0; i < count; i++) {
        for (long j = 0; j < members[i].name_length; j++) output[written++] = members[i].name[j];
        output[written++] = ' ';
        written += put_number(output + written, members[i].credits);
        output[written++] = '\n';
    }
    return write_all(output, written) < 0;
}
