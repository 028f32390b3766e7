export const target = 'reached';
