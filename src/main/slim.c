/* slim.c - give back what only the start needed; see main.h. */
#include "main/main.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

/* What has been written must stay: segments that are writable (and what is made read-only after
 * relocation lies in one), and the code of objects whose code is relocated. */
static bool has_text_relocations(const struct dl_phdr_info *info)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_DYNAMIC)
            continue;
        const ElfW(Dyn) *d = (const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
        for (; d->d_tag != DT_NULL; d++)
            if (d->d_tag == DT_TEXTREL ||
                (d->d_tag == DT_FLAGS && (d->d_un.d_val & DF_TEXTREL) != 0))
                return true;
    }
    return false;
}

static int forget_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    (void)size, (void)arg;
    if (has_text_relocations(info))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        if (ph->p_type != PT_LOAD || (ph->p_flags & PF_W) != 0)
            continue;
        uintptr_t begin = info->dlpi_addr + ph->p_vaddr, end = (begin + ph->p_filesz) & ~(page - 1);
        begin = (begin + page - 1) & ~(page - 1);
        if (begin < end) /* (refused for what is no file: fine) */
            madvise((void *)begin, end - begin, MADV_DONTNEED);
    }
    return 0;
}

void slim(void)
{
    dl_iterate_phdr(forget_object, NULL);
    malloc_trim(0);
}
