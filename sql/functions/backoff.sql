create or replace function candhook.backoff(attempt integer, first_delay interval, factor double precision,
                                            max_delay interval)
returns interval
language sql volatile parallel safe
as $$
-- How long to wait after a failed attempt: exponential, times 0.5 to 1.5 so that what failed together does not come
-- back together, and never above max_delay. The exponent is bounded, since no wait needs more and numbers overflow.
select least(extract(epoch from max_delay)::double precision,
             extract(epoch from first_delay)::double precision
             * power(factor, least(attempt - 1, 100)) * (0.5 + random()))
       * interval '1 second'
$$;
comment on function candhook.backoff(integer, interval, double precision, interval) is
    'how long to wait after failed attempt number `attempt`: first_delay * factor^(attempt-1), times 0.5 to 1.5, '
    'at most max_delay';
