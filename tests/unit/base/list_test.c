#include "base/list.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

struct item {
    int number;
    struct list link;
};

static struct list head;
static struct item items[5];

static int begin(void **state)
{
    (void)state;
    list_init(&head);
    for (int i = 0; i < 5; i++)
        items[i] = (struct item){ .number = i };
    return 0;
}

/* The numbers in the list as decimal digits, walked in both directions. */
static int order(void)
{
    int forward = 0, backward = 0, place = 1;
    list_for_each(l, &head) forward = forward * 10 + list_entry(l, struct item, link)->number;
    for (struct list *l = head.prev; l != &head; l = l->prev, place *= 10)
        backward += place * list_entry(l, struct item, link)->number;
    assert_int_equal(forward, backward);
    return forward;
}

static void links_stand_in_the_order_they_were_pushed(void **state)
{
    (void)state;
    assert_true(list_empty(&head));
    assert_null(list_first(&head));
    assert_null(list_last(&head));
    list_push_back(&head, &items[2].link);
    list_push_back(&head, &items[3].link);
    list_push_front(&head, &items[1].link);
    assert_int_equal(order(), 123);
    assert_ptr_equal(list_first(&head), &items[1].link);
    assert_ptr_equal(list_last(&head), &items[3].link);
    assert_false(list_empty(&head));
}

static void a_link_can_leave_twice(void **state)
{
    (void)state;
    for (int i = 1; i < 4; i++)
        list_push_back(&head, &items[i].link);
    assert_true(list_linked(&items[2].link));
    list_leave(&items[2].link);
    assert_false(list_linked(&items[2].link));
    list_leave(&items[2].link);
    list_leave(&items[4].link);
    assert_int_equal(order(), 13);
}

static void links_may_leave_during_a_safe_walk(void **state)
{
    (void)state;
    for (int i = 1; i < 5; i++)
        list_push_back(&head, &items[i].link);
    list_for_each_safe(l, &head) if (list_entry(l, struct item, link)->number % 2 == 0)
        list_leave(l);
    assert_int_equal(order(), 13);
    list_for_each_safe(l, &head) list_leave(l);
    assert_true(list_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(links_stand_in_the_order_they_were_pushed, begin),
        cmocka_unit_test_setup(a_link_can_leave_twice, begin),
        cmocka_unit_test_setup(links_may_leave_during_a_safe_walk, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
