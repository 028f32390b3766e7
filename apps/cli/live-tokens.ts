/** Whole lists of a hub, and which tokens of an agent are live. */
import type { HubClient, PageQuery, TokenJson } from '../client/index.ts';

/** The most that the hub sends in one page. */
const PAGE_ITEMS = 500;

/** A list that must be complete, because what is missing in it looks as if it did not exist. */
export async function everyItem<P extends { readonly next_cursor: string | null }, Item>(
  read: (query: PageQuery) => Promise<P>,
  itemsOf: (page: P) => readonly Item[],
): Promise<readonly Item[]> {
  const all: Item[] = [];
  let cursor: string | undefined;
  do {
    const page = await read({ limit: PAGE_ITEMS, cursor });
    all.push(...itemsOf(page));
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);
  return all;
}

/** The tokens of the agent that are neither revoked nor expired; a rotated one is live until it expires. */
export async function liveTokensOf(client: HubClient, agentId: string): Promise<readonly TokenJson[]> {
  const tokens = await everyItem(
    (query) => client.tokens.list(query),
    ({ tokens }) => tokens,
  );
  const nowMs = Date.now();
  return tokens.filter(
    ({ agent_id: agent, revoked_at: revokedAtMs, expires_at: expiresAtMs }) =>
      agent === agentId && typeof revokedAtMs !== 'number' && !(typeof expiresAtMs === 'number' && expiresAtMs <= nowMs),
  );
}
