/** The ID of a store. A restored copy gets a new one, so that sidecars notice. */
import { randomUUID } from 'node:crypto';

export const newStoreId = (): string => `store-${randomUUID().replaceAll('-', '')}`;
