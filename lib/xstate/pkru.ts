/** PKRU as Linux uses it. */

/** init_pkru_value (arch/x86/mm/pkeys.c): every key but 0 closed. What each program starts with. */
export const defaultPkru = 0x5555_5554
