/*
 * list.h - intrusive doubly linked list.  Keep list_entry() out of the rest of
 * the program: wrap each list in two or three named functions in one file.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/base.h"

struct list {
    struct list *next, *prev; /* of a head: first and last; of a link: neighbours or NULL */
};

#define list_entry(link, type, member) container_of(link, type, member)
#define list_for_each(pos, head) \
    for (struct list *pos = (head)->next; pos != (head); pos = pos->next)
/* The same, while `pos` may be taken out of the list or freed in the body. */
#define list_for_each_safe(pos, head)                                                      \
    for (struct list *pos = (head)->next, *pos##_next = pos->next; pos != (head); \
         pos = pos##_next, pos##_next = pos->next)

static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
}
static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}
static inline bool list_linked(const struct list *link)
{
    return link->next != NULL;
}
static inline void list_insert(struct list *link, struct list *prev, struct list *next)
{
    link->prev = prev, link->next = next;
    prev->next = next->prev = link;
}
static inline void list_push_back(struct list *head, struct list *link)
{
    list_insert(link, head->prev, head);
}
static inline void list_push_front(struct list *head, struct list *link)
{
    list_insert(link, head, head->next);
}
/* Leave the list one is in; nothing happens when in none. */
static inline void list_leave(struct list *link)
{
    if (link->next == NULL)
        return;
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = link->prev = NULL;
}
static inline struct list *list_first(const struct list *head)
{
    return head->next == head ? NULL : head->next;
}
static inline struct list *list_last(const struct list *head)
{
    return head->prev == head ? NULL : head->prev;
}

#endif
