"""Networks as maps from pixels: any module, embedded ones, published ones; derivatives that are right."""
