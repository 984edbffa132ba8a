-- The back-off after the n-th failure: exponential, multiplied by 1 - jitter to 1 + jitter, so that deliveries that
-- failed together are not retried together, and at most max_delay. The exponent is bounded: it needs no more, and
-- numbers would overflow.
create or replace function candhook_internal.backoff(failures integer, policy candhook.handler)
returns interval
language sql volatile parallel safe
return least(extract(epoch from (policy).max_delay)::double precision,
             extract(epoch from (policy).first_delay)::double precision
             * power((policy).backoff_factor, least(failures - 1, 100))
             * (1 - (policy).jitter + 2 * (policy).jitter * random()))
       * interval '1 second';
comment on function candhook_internal.backoff(integer, candhook.handler) is
    'delay after this many failures: first_delay * backoff_factor^(failures-1), times 1-jitter to 1+jitter, at most '
    'max_delay';
