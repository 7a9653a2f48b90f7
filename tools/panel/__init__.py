"""A fixed panel of questions to every method and every metric: do two commits give the same bits?"""
