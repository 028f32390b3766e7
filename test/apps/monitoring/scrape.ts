/** A scrape as values: each series of the text format with its value. */

/** By `name` or `name{label="value",…}`, as in the text. */
export type Scrape = ReadonlyMap<string, number>;

const SERIES = /^([a-zA-Z_:][a-zA-Z0-9_:]*(?:\{.*\})?) (\S+)$/;

export function scrapeOf(text: string): Scrape {
  const figures = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const [, series, value] = SERIES.exec(line) ?? [];
    if (series === undefined || figures.has(series)) throw new Error(`no series, or there twice: ${line}`);
    figures.set(series, Number(value));
  }
  return figures;
}

/** The names of the metrics, from their HELP lines. */
export const metricsIn = (text: string): readonly string[] => [...text.matchAll(/^# HELP (\S+) /gm)].map(([, name = '']) => name);

/** The metric names in `text`, such as a rule's expression, without the suffixes of a histogram's series. */
export const namedIn = (text: string): readonly string[] => [
  ...new Set([...text.matchAll(/\b(?:agentcom|process|nodejs)_[a-z0-9_]+\b/g)].map(([name]) => name.replace(/_(?:bucket|sum|count)$/, ''))),
];
