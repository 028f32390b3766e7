/** Times for people: in their zone, with a date unless it is today's. */
import t from 'tap';
import { timesIn } from '../../../apps/cli/output/time-text.ts';

const A_TIME_MS = Date.UTC(2026, 6, 1, 22, 30, 5);
const HOUR_MS = 3_600_000;

t.test('local time follows TZ, and the date is that of the zone', async (t) => {
  const before = process.env['TZ'];
  t.teardown(() => (before === undefined ? delete process.env['TZ'] : (process.env['TZ'] = before)));
  process.env['TZ'] = 'Europe/Berlin';
  const { moment, zone } = timesIn(false);
  t.equal(zone, 'Europe/Berlin');
  t.equal(moment(A_TIME_MS, A_TIME_MS), '00:30:05', 'of today');
  t.equal(moment(A_TIME_MS, A_TIME_MS - HOUR_MS), '2026-07-02 00:30:05', 'tomorrow there');
  t.equal(moment(Date.UTC(2026, 0, 1, 12), A_TIME_MS), '2026-01-01 13:00:00', 'in winter');
});

t.test('UTC, and what is not a time', async (t) => {
  const { moment, zone } = timesIn(true);
  t.equal(zone, 'UTC');
  t.equal(moment(A_TIME_MS, A_TIME_MS), '22:30:05');
  t.equal(moment(A_TIME_MS, A_TIME_MS + 2 * HOUR_MS), '2026-07-01 22:30:05');
  t.equal(moment(null), '-');
  t.equal(moment(8.64e15), '8640000000000000');
});
