export type Target = 'reached';
export const target: Target = 'reached';
