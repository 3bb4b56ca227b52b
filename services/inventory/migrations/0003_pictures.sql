-- The pictures that the image service keeps from its first start; a product that has one keeps its own.
UPDATE products SET image = CASE id
    WHEN 'PROD-001' THEN '/api/images/960edd2d11e7d0524e42f8db3cb9500d8e10ef07a7a6e65f980fbafb1c9f3ffb'
    WHEN 'PROD-002' THEN '/api/images/73c893cc21be629f9864a05b1bab906b441393b720bf5fcf2c0c9cb448e87e4d'
    WHEN 'PROD-003' THEN '/api/images/31f6285138dab9e3cd9dc6bc75538f79d0fdd40fee13e980384a4bb442b6acfd'
    WHEN 'PROD-004' THEN '/api/images/4af7f3d48d88032d1225afdf9dcfccc025d3e8f6381968d99baf9150613ab4c4'
    WHEN 'PROD-005' THEN '/api/images/a837fd66fca01d738ac3fdee444735a6c27d16a31a98facd555fc47a38ba6a6d'
END
WHERE image IS NULL AND id IN ('PROD-001', 'PROD-002', 'PROD-003', 'PROD-004', 'PROD-005');
