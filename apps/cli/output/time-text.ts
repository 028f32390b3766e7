/** Times as people read them. */

/** How long ago, in its largest unit: `5s`, `12m`, `3h`, `9d`; a time to come is `in 5s`. */
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

/** Local time of day, `12:03:04`. */
export const timeOfDay = (timeMs: number): string => new Date(timeMs).toTimeString().slice(0, 8);

/** Date and time in UTC, `2026-03-01 12:03:04Z`. */
export const dateAndTime = (timeMs: number | null | undefined): string =>
  timeMs === null || timeMs === undefined ? '-' : `${new Date(timeMs).toISOString().slice(0, 19).replace('T', ' ')}Z`;
