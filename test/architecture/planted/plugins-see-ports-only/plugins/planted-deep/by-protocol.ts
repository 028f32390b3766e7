export const fields = (): Promise<unknown> => import('../../core/protocol/fields.ts');
