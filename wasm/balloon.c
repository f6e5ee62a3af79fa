/* Takes all the memory it can get, page by page, touches each, and gives up when refused. */
#include <stdlib.h>

enum { PAGE = 65536, REFUSED = 3 };

int main(void) {
    for (;;) {
        volatile char *page = malloc(PAGE);
        if (!page) return REFUSED;
        for (int i = 0; i < PAGE; i += 4096) page[i] = 1;
    }
}
