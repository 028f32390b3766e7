/** Times as people read them: local, or in UTC with `--utc`, with the date unless it is today's. */

/** Formats times in one zone. */
export interface Times {
  /** `12:03:04`, or `2026-03-01 12:03:04` if that is not today; `-` without a time. */
  moment(timeMs: number | null | undefined, nowMs?: number): string;
  /** The zone of all its times, such as `Europe/Berlin`: a page names it once. */
  readonly zone: string;
}

/** The last time that a `Date` can hold, milliseconds. */
const DATE_MS_MAX = 8.64e15;
const MINUTE_MS = 60_000;

/** The zone of this process (`TZ`), or UTC. */
export function timesIn(isUtc: boolean): Times {
  const isoText = (timeMs: number): string => {
    // The minutes by which local time is behind UTC depend on the date.
    const behindMs = isUtc ? 0 : new Date(timeMs).getTimezoneOffset() * MINUTE_MS;
    return new Date(timeMs - behindMs).toISOString();
  };
  const at = (timeMs: number): readonly [date: string, time: string] => {
    const [date = '', time = ''] = isoText(timeMs).split('T');
    return [date, time.slice(0, 8)];
  };
  return {
    moment(timeMs, nowMs = Date.now()) {
      if (timeMs === null || timeMs === undefined) return '-';
      if (!(Math.abs(timeMs) < DATE_MS_MAX - 86_400_000)) return String(timeMs);
      const [date, time] = at(timeMs);
      return date === at(nowMs)[0] ? time : `${date} ${time}`;
    },
    get zone() {
      const zone = isUtc ? 'UTC' : new Intl.DateTimeFormat().resolvedOptions().timeZone;
      return zone === 'Etc/UTC' ? 'UTC' : zone;
    },
  };
}

/** How long ago, in its largest unit: `5s`, `12m`, `3h`, `9d`; a future time is `in 5s`. */
export function age(timeMs: number | null | undefined, nowMs: number): string {
  if (timeMs === null || timeMs === undefined) return '-';
  const text = duration(Math.abs(nowMs - timeMs));
  return timeMs > nowMs ? `in ${text}` : text;
}

export function duration(durationMs: number): string {
  const seconds = Math.round(durationMs / 1_000);
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m`;
  return seconds < 86_400 ? `${Math.floor(seconds / 3_600)}h` : `${Math.floor(seconds / 86_400)}d`;
}
