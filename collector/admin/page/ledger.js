/** The ledger as the picture and the tables need it: what became of all copies, in order. */

/**
 * @typedef {object} Account
 * @property {string} title
 * @property {string} note
 * @property {"plain" | "wait" | "warn" | "bad" | "ok"} tone
 * @property {number} count copies
 * @property {[string, number][]} reasons the most frequent first; none where there are no reasons
 */

// Of `dropped`, what the settings ask for; everything else was given up against everybody's will.
const WANTED = /^(filter|only):|^max_rate$|^dead_letter_(purged|expired)$/;

const ACCOUNTS = [
  { title: "Rejected", note: "by settings", tone: "plain", of: (ledger) => ledger.rejected },
  { title: "In memory", note: "not spooled yet", tone: "wait", of: (ledger) => ledger.in_memory },
  { title: "In the spool", note: "waiting for sinks", tone: "wait", of: (ledger) => ledger.spooled },
  { title: "Dropped", note: "by settings", tone: "plain", of: (ledger) => wanted(ledger.dropped) },
  { title: "Dead letters", note: "kept aside", tone: "warn", of: (ledger) => ledger.dead_lettered },
  { title: "Lost", note: "given up", tone: "bad", of: (ledger) => lost(ledger) },
  {
    title: "Handed over",
    note: "to the stream",
    tone: "ok",
    of: (ledger) => ledger.handed_over,
    isShown: ({ role, handed_over: count }) => role || count > 0,
  },
  {
    title: "Delivered",
    note: "accepted by sinks",
    tone: "ok",
    of: (ledger) => ledger.delivered,
    isShown: ({ role, delivered: count }) => role !== "receive" || count > 0,
  },
];

/**
 * Return the accounts in the order in which copies come by them; the last is where they should go.
 *
 * @param {any} ledger as `/api/status` has it, with the `role` of a member of several
 * @returns {Account[]}
 */
export function accounts(ledger) {
  return ACCOUNTS.filter(({ isShown = () => true }) => isShown(ledger)).map(({ of, isShown, ...account }) => {
    const value = of(ledger);
    const byReason = typeof value === "object" ? Object.entries(value) : [];
    const reasons = byReason.filter(([, count]) => count).sort(([, one], [, other]) => other - one);
    return { ...account, count: total(value), reasons };
  });
}

/** Add up an account. */
export const total = (value) =>
  typeof value === "object" ? Object.values(value).reduce((sum, count) => sum + count, 0) : value;

/** Return what was dropped although nobody wanted it, by reason. */
export const lost = ({ dropped }) => pick(dropped, (reason) => !WANTED.test(reason));

const wanted = (dropped) => pick(dropped, (reason) => WANTED.test(reason));

const pick = (counts, isWanted) =>
  Object.fromEntries(Object.entries(counts).filter(([reason]) => isWanted(reason)));

/** Return how many copies came in: from senders, for further sinks, and out of a stream. */
export const whole = (ledger) => ledger.received + ledger.copies + ledger.taken_over;

/** Return what came in less all that is accounted for: 0, or there is a mistake. */
export function imbalance(ledger) {
  const accounted = accounts(ledger).reduce((sum, { count }) => sum + count, 0);
  return whole(ledger) - accounted;
}
