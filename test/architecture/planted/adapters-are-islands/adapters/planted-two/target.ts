export type Target = 'reached';
