export const later = (): Promise<unknown> => import('../../adapters/planted-for-core/target.ts');
